"""Events of other contexts that a context could not handle: kept, listed, retried or skipped."""
