"""The door for our own detached processes."""
