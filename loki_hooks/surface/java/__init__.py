"""What Java sources offer."""
