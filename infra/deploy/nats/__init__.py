"""nats-server's configuration, and its users' permissions as the code needs them."""
