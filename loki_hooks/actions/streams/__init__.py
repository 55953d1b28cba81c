"""Streams are planned, made, recorded, and say that they are ready."""
