"""Worktrees that are not in their place: where they are, and what only their registration knows, kept as a ref meanwhile.

git keeps a registration without a folder for some months (`gc.worktreePruneExpire`), or until somebody prunes. With it go
the index, the reflog and the HEAD of that worktree; with the ref ``refs/loki/away/<stream>`` their commits stay.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.safe.pins import pin_past
from loki_hooks.domain.refs import AWAY, PAST
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import Status
from loki_hooks.errors import LokiError
from loki_hooks.system.clock import stamp
from loki_hooks.system.git.git import WorktreeEntry
from loki_hooks.system.git.operations import git_dir_of
from loki_hooks.system.store import events
from loki_hooks.system.worktrees.registrations import is_here, registration_of


def moved_by_git(context: Context, record: StreamRecord, state: State, worktrees: Sequence[WorktreeEntry]) -> str:
    """Return where git says that a stream's worktree is now (`git worktree move`), '' when it does not.

    It is the one on its branch or, detached, the one that is registered under the name of its old folder.
    """
    if not record.path or record.status is Status.PLANNED or os.path.lexists(record.path):
        return ""
    taken = {r.path for r in state.streams.values()}
    for entry in worktrees[1:]:
        if str(entry.path) in taken or not is_here(context.site, entry.path):
            continue
        by_name = not entry.branch and git_dir_of(entry.path).name == Path(record.path).name
        if by_name or (entry.branch and entry.branch == record.branch):
            return str(entry.path)
    return ""


def keep_what_is_away(context: Context) -> None:
    """Keep what the registrations of worktrees that are away know; let go of it once a worktree is back."""
    site, git = context.site, context.git
    streams = context.store.read().streams.values()
    places = {r.stream: Path(r.path) for r in streams if r.path and not r.standing and r.status is not Status.ARCHIVED}
    away = {stream for stream, path in places.items() if not is_here(site, path) and registration_of(site, path)}
    for record in [r for r in streams if r.stream in away]:
        try:
            pin_past(context, record, f"{AWAY}{record.stream}")
        except LokiError as error:  # a pass goes on without: nothing was taken away
            events.record(site, "away-not-kept", record.stream, detail=error.message)
    kept = git.refs(AWAY) if away or (site.common / AWAY).is_dir() else {}
    for ref, oid in kept.items():
        stream = ref.removeprefix(AWAY)
        if stream in places and is_here(site, places[stream]):
            git.delete_ref(ref, oid)


def release(context: Context, stream: str) -> None:
    """Have what was kept for a stream that is no more expire, as everything does that was removed."""
    oid = context.git.refs(f"{AWAY}{stream}").get(f"{AWAY}{stream}")
    if oid is not None and context.git.update_ref(
        f"{PAST}{stream}/{stamp()}", oid, "", "its worktree did not come back"
    ):
        context.git.delete_ref(f"{AWAY}{stream}", oid)
