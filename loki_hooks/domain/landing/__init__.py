"""How a branch's work gets into the integration branch, and how that is recognised."""
