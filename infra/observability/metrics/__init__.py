"""Metrics: every name, in one registry, and the instruments that write them."""
