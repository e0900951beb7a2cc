"""Looking an installation over: what is checked, what was found, and how each finding is fixed."""
