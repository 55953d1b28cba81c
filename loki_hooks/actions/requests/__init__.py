"""What somebody asks for: write a wish, make a pass."""
