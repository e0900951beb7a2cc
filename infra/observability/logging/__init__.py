"""Logs: JSON or text lines, rendered, redacted, and sent by OTLP."""
