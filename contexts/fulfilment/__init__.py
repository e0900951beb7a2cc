"""Fulfilment: the saga that takes an order through all contexts, and back where it has to."""
