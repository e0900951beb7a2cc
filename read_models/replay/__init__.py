"""Replay: read models folded anew beside the live ones, compared, switched to, and looked at in time."""
