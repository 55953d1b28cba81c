"""Move the branch that a worktree is on to a descendant, files and all, whatever merges there are configured to be like."""

from __future__ import annotations

from collections.abc import Mapping

from loki_hooks.system.git.git import Git
from loki_hooks.system.processes.run import Completed


def fast_forward(git: Git, commit: str, why: str = "") -> Completed:
    """Return how `git merge --ff-only` ended. What stands in the way, ignored files too, makes git refuse."""
    words = ("--ff-only", "--no-squash", "--no-autostash", "--no-overwrite-ignore", "--no-verify-signatures", "--quiet")
    env = {"GIT_REFLOG_ACTION": f"loki-hooks: {why}"} if why else {}
    return git.run("merge", *words, commit, env={**no_merge_options(git), **env}, timeout=1800)


def no_merge_options(git: Git) -> Mapping[str, str]:
    """Return the environment in which the options that are configured for the branch (``mergeOptions``) are none.

    (An option on the command line cannot name every branch: one may have a ``=`` in its name.)
    """
    branch = git.maybe("symbolic-ref", "-q", "--short", "HEAD")
    if not branch:
        return {}
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"branch.{branch}.mergeOptions",
        "GIT_CONFIG_VALUE_0": "",
    }
