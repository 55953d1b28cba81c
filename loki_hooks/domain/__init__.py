"""DECIDES: values in, values out. No git, files, clock, environment or printing here."""
