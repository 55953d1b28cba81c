"""One stream: what is stored, its statuses, stages and signals."""
