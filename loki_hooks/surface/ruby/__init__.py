"""What Ruby sources offer."""
