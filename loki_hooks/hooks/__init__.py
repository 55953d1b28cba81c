"""The front door for git: one small module per git hook."""
