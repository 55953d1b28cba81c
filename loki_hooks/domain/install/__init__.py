"""How hooks get installed, and what doctor finds."""
