"""Read models: one file per question, folded from the events of the contexts."""
