"""One session: what it is told, how it ended, how many may run."""
