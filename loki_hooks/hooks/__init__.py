"""The front door for git: one small module per git hook. What they do is in `actions`; here is only how git asks."""
