"""What queries need beside documents: consistency tokens, the past, and the history of an order."""
