"""Remove worktrees and branches: on evidence, archived and pinned first, by git's own removal.

The only place of the program that removes a worktree or a branch. Order matters: the tip is pinned under
``refs/loki/trash/`` and the archive written before anything goes, and every fact is looked at again just before. A
removal that is refused then leaves nothing behind.

    .loki/archive/<stream>-<time>/   record.json (the stream, with tip, trash, work, files), UNDO.md, CONTINUITY.md,
                                     PLAN.md, prompt.md, loki/ (what else the worktree's .loki/ had) and the logs
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loki_hooks.actions.context import Context
from loki_hooks.actions.removal.archive import _move_logs, archive_stream
from loki_hooks.actions.safe.pins import pin_past
from loki_hooks.actions.safe.snapshot import Safe, holds_work, snapshot_of
from loki_hooks.actions.safe.snapshot import forget as forget_snapshot
from loki_hooks.domain.refs import AWAY, PAST, TRASH, base_ref
from loki_hooks.domain.removal.classify import Going, Removal, WorktreeFacts, classify
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.signals import SignalName
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import LIVING, Status
from loki_hooks.errors import LokiError
from loki_hooks.system.clock import stamp
from loki_hooks.system.files import read_plain
from loki_hooks.system.git.git import list_worktrees
from loki_hooks.system.git.status import Care
from loki_hooks.system.locks import PassLock
from loki_hooks.system.store import events, signals, spawn_environment
from loki_hooks.system.trees import remove_tree
from loki_hooks.system.worktrees.deletable import why_not_deletable
from loki_hooks.system.worktrees.inspect import look
from loki_hooks.system.worktrees.registrations import (
    is_here,
    registration_of,
    set_aside,
)
from loki_hooks.system.worktrees.registry import remove, unlock_dead


@dataclass(frozen=True)
class Judged:
    """What clean-up would do with a stream now."""

    record: StreamRecord
    removal: Removal


def judge(context: Context, record: StreamRecord, going: Going = Going.ALL, care: Care = Care.HIDDEN) -> Removal:
    """Return the verdict on a stream from facts gathered now."""
    if record.standing:
        return Removal(False, ("it is a standing stream",))
    if record.branch == context.integration:  # whatever a damaged state says
        return Removal(False, ("its branch is the integration branch",))
    if record.status is Status.KEPT and going is Going.ALL:
        return Removal(False, ("it is kept: a person wants it (`loki-hooks finish` ends it)",))
    removal = classify(facts_of(context, record, care), going)
    if removal.remove and record.path and (why := why_not_deletable(Path(record.path))):
        return Removal(False, (f"not all of it can be deleted: {why}",))
    return removal


def facts_of(context: Context, record: StreamRecord, care: Care = Care.HIDDEN) -> WorktreeFacts:
    """Return what the removal of the stream depends on, looked at now."""
    caches = context.config.working.cleanup.caches
    return look(context.site, record, list_worktrees(context.git), context.integration_ref, caches=caches, care=care)


def judge_all(context: Context) -> list[Judged]:
    """Return the verdict on every stream that is not archived, by id."""
    state = context.store.read()
    return [
        Judged(r, judge(context, r))
        for _, r in sorted(state.streams.items())
        if r.status is not Status.ARCHIVED and r.kind != "main" and not r.resting
    ]


def clean_stream(context: Context, lock: PassLock, record: StreamRecord) -> Removal:
    """Remove the stream's worktree and branch if the classifier says so now. Raises ``LokiError`` when git refuses."""
    lock.require(context.site)
    removal = judge(context, record)
    return retire(context, lock, record, Going.ALL, removal, time=stamp()) if removal.remove else removal


def retire(
    context: Context,
    lock: PassLock,
    record: StreamRecord,
    going: Going,
    removal: Removal,
    *,
    time: str,
    work: str = "",
    more: Mapping[str, Any] | None = None,
) -> Removal:
    """Remove what ``going`` names, which ``removal`` allowed; return the verdict of the last look, just before.

    ``lock`` proves that no pass starts a session in it, or lands it, meanwhile.
    ``work``: a commit, made of what was uncommitted, that is pinned instead of the tip. ``more`` goes into the
    archive's record. Raises ``LokiError`` when git refuses; what was not removed yet is then as it was.
    """
    lock.require(context.site)
    site, git = context.site, context.git
    path = Path(record.path)
    branch = f"refs/heads/{record.branch}"
    tip = git.commit_id(branch) or ""
    lost = _lost_work(context, record, path, tip)
    work = work or (lost.commit if lost is not None and lost.tip == (tip or lost.tip) else "")
    trash = f"{TRASH}{record.stream}/{time}" if going is not Going.WORKTREE and (work or tip) else ""
    worktrees = list_worktrees(git)
    if trash and any(w.branch == record.branch and w.path != path for w in worktrees):
        raise LokiError(f"the branch {record.branch} is checked out elsewhere")
    if trash and not git.update_ref(trash, work or tip, None, f"{going.value}: {record.branch}"):
        raise LokiError(f"cannot pin {(work or tip)[:12]} before removing {record.stream}")
    facts = {"tip": tip, "trash": trash, "removed_because": list(removal.reasons), "removed_at": time}
    facts |= {**(more or {}), "work": work}
    try:
        archive = archive_stream(context, record, time, facts)
    except LokiError:
        if trash:
            git.run("update-ref", "-d", trash)
        raise
    more_lost = (lost.commit,) if lost is not None and lost.commit != work else ()
    pin_past(context, record, f"{PAST}{record.stream}/{time}", more_lost)
    try:
        admin = registration_of(site, path) if record.path else None
        if admin is not None:
            if os.path.lexists(admin / "locked"):
                unlock_dead(site, path)
            again = judge(context, record, going, Care.CONTENT)
            if not again.remove:
                _undo(context, record, time, trash, archive)
                return again
            if is_here(site, path):
                remove(site, path)  # git's own, which refuses what changed since
            else:
                set_aside(site, admin)  # a person says that the folder is no more
    except LokiError:
        _undo(context, record, time, trash, archive)
        raise
    spawn_environment.forget(site, record.stream)
    if lost is None or going is not Going.WORKTREE:  # else it is the only place of what was uncommitted
        forget_snapshot(context, record.stream)
    if going is not Going.WORKTREE:
        _remove_branch(context, record, tip)
        _move_logs(context, record, archive)
    context.store.update(lambda s: _retired(s, record.stream, going))
    for kind, subject in (
        ("WORKTREE_FAILED", record.stream),
        ("MERGE_REQUESTED", record.stream),
        ("FEATURE_READY", record.name),
        ("TESTS_FAILED", record.name),
    ):
        signals.clear(site, SignalName(kind, subject))
    events.record(
        site,
        "removed" if going is Going.ALL else "kept" if going is Going.WORKTREE else "abandoned",
        record.stream,
        commit=tip,
        detail="; ".join(removal.reasons),
        evidence={"path": str(path), "branch": record.branch, "trash": trash, "archive": str(archive)},
    )
    return removal


def _lost_work(context: Context, record: StreamRecord, path: Path, tip: str) -> Safe | None:
    """Return the safe snapshot of a worktree that somebody else took away, with anything that is not at ``tip``."""
    if not record.path or path.is_dir():
        return None
    safe = snapshot_of(context, record.stream)
    return safe if safe is not None and holds_work(context, safe, tip) else None


def _undo(context: Context, record: StreamRecord, time: str, trash: str, archive: Path) -> None:
    for ref in filter(None, (trash, f"{PAST}{record.stream}/{time}")):
        context.git.run("update-ref", "-d", ref)
    remove_tree(archive)


def _remove_branch(context: Context, record: StreamRecord, tip: str) -> None:
    git = context.git
    branch = f"refs/heads/{record.branch}"
    if tip and git.delete_ref(branch, tip):
        if record.branch.encode("utf-8", "surrogateescape") in (read_plain(context.site.common / "config") or b""):
            git.run("config", "--remove-section", f"branch.{record.branch}")
    elif tip and git.commit_id(branch) is not None:
        raise LokiError(f"the branch {record.branch} moved meanwhile")
    git.run("update-ref", "-d", base_ref(record.stream))
    git.run("update-ref", "-d", f"{AWAY}{record.stream}")  # what it kept is pinned for good now


def _retired(state: State, stream: str, going: Going) -> State:
    record = state.streams.get(stream)
    if record is None:
        return state
    if going is Going.WORKTREE:
        kept = record if record.status is Status.KEPT else record.moved(Status.KEPT)
        return state.with_stream(kept.moved(Status.KEPT, path="", reason="its worktree was given back"))
    if going is Going.TO_TRASH and record.status in LIVING:
        record = record.moved(Status.ABANDONED)
    if record.status in {Status.MERGED, Status.ABANDONED, Status.KEPT}:
        return state.with_stream(record.moved(Status.ARCHIVED, path="", reason=""))
    return state.without(stream)
