"""Shipping: what was packed, sent, delivered and brought back."""
