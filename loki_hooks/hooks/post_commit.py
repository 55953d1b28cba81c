"""Something was committed: in a stream, show what the conflict radar last saw; the worker looks again."""

from __future__ import annotations

from loki_hooks.hooks.trigger import trigger


def run(words: list[str]) -> int:  # noqa: ARG001  git's words; what happened is read from the repository later
    return trigger("post-commit", notice="commit")
