"""Hooks are installed and removed."""
