"""What may be removed, and when it expires."""
