"""The inventory: what is on hand, and what of it is promised to orders."""
