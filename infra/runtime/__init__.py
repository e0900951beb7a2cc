"""What runs a bounded context: commands in, events of others in, events out."""
