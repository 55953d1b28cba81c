"""Files below `.loki/` and `.git/loki/`, and gate results in refs."""
