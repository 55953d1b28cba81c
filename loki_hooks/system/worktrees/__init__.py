"""Worktrees: added, filled, inspected, removed."""
