"""Customers: who buys, and how to forget them."""
