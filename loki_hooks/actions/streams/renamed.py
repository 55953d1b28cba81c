"""Follow a stream whose branch was renamed (`git branch -m`), and know one that was made anew under the same name.

Both are told from the branch's own reflog: it goes with a branch that is renamed, and ends with one that is deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from loki_hooks.actions.context import Context
from loki_hooks.actions.streams.records import change
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import Status
from loki_hooks.system.git.git import WorktreeEntry
from loki_hooks.system.store import events


def renamed_to(context: Context, record: StreamRecord, state: State, worktrees: Sequence[WorktreeEntry]) -> str:
    """Return what the stream's branch, which is gone, is called now: the branch in its worktree, if it is the same one."""
    there = next((w.branch for w in worktrees if str(w.path) == record.path), "")
    taken = {r.branch for r in state.streams.values() if r.status is not Status.ARCHIVED}
    if not there or there in taken or there == context.integration:
        return ""
    said = context.git.maybe(
        "log", "--walk-reflogs", "--no-show-signature", "--format=%gs", f"refs/heads/{there}", "--"
    )
    renamed = f"Branch: renamed refs/heads/{record.branch} to refs/heads/"
    return there if any(line.startswith(renamed) for line in (said or "").splitlines()) else ""


def follow_rename(context: Context, record: StreamRecord, branch: str) -> StreamRecord:
    """Have the stream be the one on ``branch``; return it as it is now."""
    events.record(context.site, "branch-renamed", record.stream, detail=f"{record.branch} is called {branch} now")
    return change(context, record.stream, lambda r: replace(r, branch=branch)) or record


def made_anew(context: Context, record: StreamRecord, tip: str) -> bool:
    """Whether the branch at ``tip`` is another one than that which was at ``record.tip``.

    It has none of that one's own commits, and its reflog does not know where that one was.
    """
    git, was = context.git, record.tip
    if not was or tip == was or git.is_ancestor(was, tip):
        return False
    without = [f"^{record.base}"] if record.base else []
    own, theirs = ((git.maybe("rev-list", commit, *without) or "").split() for commit in (was, tip))
    if not set(own).isdisjoint(theirs):
        return False
    ref = f"refs/heads/{record.branch}"
    logged = (git.maybe("log", "--walk-reflogs", "--no-show-signature", "--format=%H", ref, "--") or "").split()
    first = git.commit_id(f"{ref}@{{{len(logged)}}}")  # where it was before the oldest entry
    return was not in {*logged, first}
