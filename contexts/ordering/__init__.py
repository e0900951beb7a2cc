"""Ordering: what was ordered at which price, and what became of it."""
