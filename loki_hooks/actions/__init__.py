"""Gather facts, decide, apply: one file per thing that somebody can cause. `reconcile` is the centre."""
