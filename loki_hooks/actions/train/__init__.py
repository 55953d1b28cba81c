"""The merge train is built, looked at and moved."""
