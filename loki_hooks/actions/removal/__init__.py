"""Streams are retired, kept in the archive, restored; old things expire."""
