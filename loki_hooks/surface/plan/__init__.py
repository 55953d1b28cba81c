"""What the files say in which people and tools keep their plans."""
