"""The HTTP server that tells a process's health and metrics."""
