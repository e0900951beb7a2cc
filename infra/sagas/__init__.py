"""Runs process managers (sagas): events in; commands, timers and retries out, each exactly once in effect."""
