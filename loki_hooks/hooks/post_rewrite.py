"""A rebase ended (`pull --rebase` too): the worker does what follows a landing."""

from __future__ import annotations

from loki_hooks.hooks.trigger import trigger


def run(words: list[str]) -> int:  # noqa: ARG001  git's words; what happened is read from the repository later
    return trigger("post-rewrite")
