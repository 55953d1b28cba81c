"""A branch was checked out, or a worktree made (by whatever tool): the worker adopts it."""

from __future__ import annotations

from loki_hooks.hooks.trigger import trigger


def run(words: list[str]) -> int:  # noqa: ARG001  git's words; what happened is read from the repository later
    return trigger("post-checkout", notice="checkout")
