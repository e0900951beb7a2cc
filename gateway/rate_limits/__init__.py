"""Limits per client: token buckets, shared between gateways over NATS."""
