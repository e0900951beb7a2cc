"""A context's log of events: published by the relay, served by pages, and read without gaps."""
