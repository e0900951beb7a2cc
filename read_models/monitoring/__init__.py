"""How far read models are behind, and whether they and the provider's books are right."""
