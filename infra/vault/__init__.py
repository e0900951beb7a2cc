"""Keys of persons, wrapped by a master key, kept apart from events, and destroyed to forget somebody."""
