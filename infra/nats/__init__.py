"""NATS: connections, JetStream, pull consumers, and requests with retry."""
