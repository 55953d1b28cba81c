"""Sessions get their turn, run, and end."""
