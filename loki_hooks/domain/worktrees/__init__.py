"""What a worktree is filled with, and who fills it."""
