"""Gate results and what they let through."""
