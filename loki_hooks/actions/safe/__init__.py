"""What is uncommitted is kept: in snapshots of live worktrees, in the trash, for worktrees that are away."""
