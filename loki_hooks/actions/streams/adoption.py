"""Which worktrees are adopted, whoever made them, and what their streams are called.

All but the main one, those of gates, of the integration branch, and those on a branch of ``branches.ignore``. One that is on
no branch has nothing that could land: it is adopted as soon as it gets one (``git switch -c NAME``), and `status` says so.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.streams.identity import identify
from loki_hooks.domain.names import flat, free_name, name_of_branch, stream_id
from loki_hooks.domain.reconcile.facts import Found
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import Status
from loki_hooks.system.git.git import WorktreeEntry
from loki_hooks.system.worktrees.registrations import is_here


def strangers(
    context: Context, state: State, worktrees: Sequence[WorktreeEntry], is_ours: Callable[[Path], bool]
) -> Iterator[WorktreeEntry]:
    """Yield the worktrees that are no stream's, nor to be left out. ``is_ours`` tells those that we run things in."""
    known = {r.path: r for r in state.streams.values() if r.status is not Status.ARCHIVED}
    ignored = context.config.working.ignored_branches
    for entry in worktrees:
        record = known.get(str(entry.path))
        if entry.bare or entry.path == context.site.main or (record and not goes_on(context, record, entry)):
            continue
        if entry.branch == context.integration or any(fnmatch.fnmatchcase(entry.branch, glob) for glob in ignored):
            continue
        if not is_ours(entry.path):
            yield entry


def goes_on(context: Context, record: StreamRecord, entry: WorktreeEntry) -> bool:
    """Return whether new work was begun in an adopted worktree, on the same branch, after the stream had landed."""
    if record.status is not Status.MERGED or record.origin != "adopted" or entry.branch != record.branch:
        return False
    return entry.head not in {"", record.tip} and not context.git.is_ancestor(entry.head, context.integration_ref)


def found(
    context: Context, state: State, worktrees: Sequence[WorktreeEntry], is_ours: Callable[[Path], bool]
) -> list[Found]:
    """Return the worktrees that are no stream yet and shall be, each with its stream's name."""
    living = [r for r in state.streams.values() if r.status is not Status.ARCHIVED and not r.resting]
    branches = {r.branch for r in living}
    ids, names = {r.stream for r in living}, {flat(r.name) for r in living}
    finds = []
    for entry in strangers(context, state, worktrees, is_ours):
        before = next((r for r in living if r.path == str(entry.path)), None)
        if before is not None:  # it is the same stream, once more
            finds.append(Found(str(entry.path), entry.branch, before.kind, before.name, entry.head, again=True))
            continue
        if not entry.branch or entry.branch in branches or not is_here(context.site, entry.path):
            continue
        identity = identify(context, entry.branch)
        if identity is not None and identity.kind == "testing":
            continue
        kind, wanted = (identity.kind, identity.name) if identity else ("feature", name_of_branch(entry.branch))
        taken = ids if identity else ids | {stream_id(kind, name) for name in names}
        name = free_name(wanted, partial(_is_free, kind, taken))
        note = "" if name == wanted else f"it is called so because there is a {wanted} already"
        ids.add(stream_id(kind, name))
        names.add(flat(name))
        finds.append(Found(str(entry.path), entry.branch, kind, name, entry.head, note))
    return finds


def _is_free(kind: str, taken: Collection[str], name: str) -> bool:
    return stream_id(kind, name) not in taken
