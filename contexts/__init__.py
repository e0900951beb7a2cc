"""The bounded contexts: each decides commands about its own streams and records events."""

NAMES = ("catalog", "customers", "inventory", "ordering", "payments", "shipping", "fulfilment")
"""The one list of contexts, each a folder here; a test holds deployment files that repeat it to it."""
