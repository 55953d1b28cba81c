"""What Go sources offer."""
