"""READS: source text in, values out; no git, no files."""
