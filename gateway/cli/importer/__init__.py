"""Bringing past sales in: a CSV of invoice rows becomes products, customers, stock and orders over HTTP."""
