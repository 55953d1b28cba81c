"""A merge by hand is about to be committed: into the integration branch only what passed."""

from __future__ import annotations

from loki_hooks.hooks.gate import enter, say


def run(words: list[str]) -> int:  # noqa: ARG001  git passes none
    from loki_hooks.actions.gates.guard import guard_merge

    site, by = enter()
    return guard_merge(site, by, say=say)
