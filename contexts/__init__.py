"""The bounded contexts: each decides over its own streams, in its own store."""
