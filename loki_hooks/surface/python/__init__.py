"""What Python sources offer."""
