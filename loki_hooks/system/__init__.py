"""TOUCHES: each module owns one outside thing."""
