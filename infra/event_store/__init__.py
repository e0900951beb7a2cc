"""Where events are kept: the eventsourcing library's recorders with what Orderfold adds to them."""
