"""The HTTP gateway: commands in, answers out."""
