"""What contexts, read models and the gateway stand on; it names no context."""
