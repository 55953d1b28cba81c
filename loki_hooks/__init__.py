"""Git hooks that let many coding-agent sessions work on one repository in parallel git worktrees."""

__version__ = "0.1.0"
