"""Bearer tokens: the keys that sign them, what they say, and the roles in them."""
