"""Hook files, what runs them, and what was changed of them."""
