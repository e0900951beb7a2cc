"""Whether a forgotten customer really is: what is left is looked for, what was searched is told."""
