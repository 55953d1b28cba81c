"""The configuration as it is read, cached and trusted."""
