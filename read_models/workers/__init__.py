"""The processes that run projectors, and how several of them share the partitions."""
