"""Payments: what a payment provider was asked for, and what it answered."""
