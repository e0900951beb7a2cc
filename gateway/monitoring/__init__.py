"""The gateway's readiness and its request metrics."""
