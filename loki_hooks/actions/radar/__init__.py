"""Conflicts are predicted and told."""
