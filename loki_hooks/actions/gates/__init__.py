"""Gates run in worktrees of their own, and guard pushes and merges."""
