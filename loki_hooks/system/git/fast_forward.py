"""Move the branch that a worktree is on to a descendant, files and all, whatever merges there are configured to be like."""

from __future__ import annotations

from loki_hooks.system.git.git import Git
from loki_hooks.system.processes.run import Completed


def fast_forward(git: Git, commit: str, why: str = "") -> Completed:
    """Return how `git merge --ff-only` ended. What stands in the way, ignored files too, makes git refuse."""
    words = ("--ff-only", "--no-squash", "--no-autostash", "--no-overwrite-ignore", "--no-verify-signatures", "--quiet")
    env = {"GIT_REFLOG_ACTION": f"loki-hooks: {why}"} if why else {}
    return git.run("merge", *words, commit, env=env, timeout=1800)
