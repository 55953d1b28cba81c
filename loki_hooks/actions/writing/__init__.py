"""What landed becomes items, and items become documents and posts."""
