"""How events become documents: models, folding, projectors, checkpoints, dead letters, versions."""
