"""Reads what code offers to others: a reader per language, behind one comparison."""
