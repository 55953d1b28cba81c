"""Readers of what code offers to others, one per language; ``compare.py`` is the way in."""
