"""Finish a stream by a person's word: merge it, keep its branch, or give it up. (A pull request: ``propose.py``.)

Merging goes the one way that there is, through the gate and the train: what is recorded here is the wish, for the
tip as it is now (``StreamRecord.wanted``), and passes are made until it landed or stands. Only ``--ungated`` lands
what no gate passed: by a person, never in a session, with an event that says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from loki_hooks.actions.consent import require_person
from loki_hooks.actions.context import Context
from loki_hooks.actions.gates.runners import under_way
from loki_hooks.actions.landing import upstream as remote
from loki_hooks.actions.landing.advance import advance
from loki_hooks.actions.landing.merge import landing_of
from loki_hooks.actions.landing.reverted import why_not_back
from loki_hooks.actions.landing.taken_out import require_nothing_taken_out
from loki_hooks.actions.reconcile.run import Report, reconcile
from loki_hooks.actions.removal.retire import facts_of, judge, retire
from loki_hooks.actions.requests.watch import passes
from loki_hooks.actions.safe import salvage
from loki_hooks.actions.safe.salvage import Salvage
from loki_hooks.actions.streams.outlook import (
    look_ahead,
    refuse,
    require_committed,
    require_finishable,
    require_work,
    uncommitted_in,
)
from loki_hooks.domain.asker import Deed
from loki_hooks.domain.landing.ways import Way
from loki_hooks.domain.refs import TRASH
from loki_hooks.domain.removal.classify import Going, WorktreeFacts, classify
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import IN_TRAIN, Status
from loki_hooks.errors import LokiError, RefusedError
from loki_hooks.system.clock import now, stamp
from loki_hooks.system.git.merges import commit_tree
from loki_hooks.system.git.squashed import merge_stacked
from loki_hooks.system.git.status import Care
from loki_hooks.system.git_folder import astray
from loki_hooks.system.locks import PASS_PATIENCE, PassLock, hold_pass
from loki_hooks.system.store import events

Say = Callable[[str], None]
_OVER = frozenset({Status.MERGED, Status.ARCHIVED})


@dataclass(frozen=True)
class MergeResult:
    """``landed`` False: ``reason`` says why it did not, or not yet; the wish stands while it is in the train.

    ``proposed``: it lands by a pull request (`merge.how`), which is open now; ``reason`` says where.
    """

    landed: bool
    reason: str = ""
    waits: bool = False
    proposed: bool = False


def merge(context: Context, record: StreamRecord, *, say: Say) -> MergeResult:
    """Ask for the stream to land, and have passes made until it has, or stands still. Raises ``LokiError``."""
    require_person(context.site, Deed.FINISH, record.stream)
    require_finishable(record)
    if record.status is Status.MERGED:
        return MergeResult(True)
    outlook = look_ahead(context, record)
    require_committed(record, outlook)
    require_work(context, record, outlook)
    require_nothing_taken_out(context, record, outlook.tip)

    reverted = why_not_back(context, record, outlook.tip)
    if reverted:
        say(reverted)

    def wish(state: State) -> State:
        current = state.streams.get(record.stream)
        if current is None:
            return state
        if current.status in IN_TRAIN:
            return state.with_stream(replace(current, wanted=outlook.tip, not_before="", turned_away=0))
        asked = current.moved(
            Status.READY, tip=outlook.tip, wanted=outlook.tip, reason="", not_before="", turned_away=0
        )
        return state.with_stream(asked)

    context.store.update(wish)
    events.record(context.site, "asked-to-merge", record.stream, commit=outlook.tip)
    return _until_landed(context, record, say)


def is_wished(context: Context, record: StreamRecord) -> bool:
    """Return whether a person's wish to merge the stream stands, and it has not landed yet."""
    current = context.store.read().streams.get(record.stream)
    return current is not None and bool(current.wanted) and current.status in IN_TRAIN


def _until_landed(context: Context, record: StreamRecord, say: Say) -> MergeResult:
    current = record

    def moves(report: Report) -> bool:
        return not report.ran or current.status is Status.TESTING or under_way(Context(context.site))

    for _ in passes(context.site, moves, say=say):
        found = context.store.read().streams.get(record.stream)
        if found is None or found.status in _OVER:
            return MergeResult(True)
        current = found
        if current.status is Status.PROPOSED:
            return MergeResult(False, current.reason, proposed=True)
        if current.status not in IN_TRAIN:
            return MergeResult(False, current.reason or str(current.status))
    return MergeResult(False, current.reason or "something else is under way", waits=True)


def merge_ungated(context: Context, record: StreamRecord, *, say: Say) -> str:
    """Land the stream although no gate passed it; return the merge commit. Raises ``RefusedError`` in a session."""
    require_person(context.site, Deed.UNGATED)
    require_finishable(record)
    remote.catch_up(context, say)
    outlook = look_ahead(context, record)
    require_committed(record, outlook)
    require_work(context, record, outlook)
    with hold_pass(context.site) as lock:
        commit = _land_ungated(context, lock, record, outlook.tip)
    reconcile(context.site, wait=PASS_PATIENCE, say=say)
    return commit


def _land_ungated(context: Context, lock: PassLock, record: StreamRecord, tip: str) -> str:
    git = context.git
    old = git.commit_id(context.integration_ref)
    if old is None:
        raise RefusedError(f"{context.integration} has no commit yet", "make a first one")
    _refuse_diverged(context, old)
    require_nothing_taken_out(context, record, tip)
    merged = merge_stacked(git, old, tip)
    if merged.conflicts:
        files = ", ".join(merged.conflicts[:10])
        raise RefusedError(
            f"{record.name} conflicts with {context.integration} in {files}",
            f"`loki-hooks sync {record.name}`, or resolve it in {record.path or record.branch}",
        )
    said = landing_of(context, record, Way.NO_FF, old).message
    lines = [line for line in said.splitlines() if not line.startswith("Loki-Gates:")]
    commit = commit_tree(git, merged.tree, (old, tip), "\n".join([*lines, "Loki-Ungated: true"]) + "\n", signed=True)
    moved = advance(context, lock, commit, old, f"land {record.stream}, ungated")
    if not moved.moved:
        raise RefusedError(f"{record.name} cannot land: {moved.reason}", "nothing was changed")
    context.store.update(lambda state: _landed(state, record.stream, tip, commit))
    events.record(
        context.site,
        "landed",
        record.stream,
        commit=commit,
        detail="ungated, by a person",
        evidence={"tip": tip, "tree": merged.tree, "ungated": True},
    )
    return commit


def _landed(state: State, stream: str, tip: str, commit: str) -> State:
    record = state.streams.get(stream)
    if record is None:
        return state
    if record.status is Status.KEPT:
        record = record.moved(Status.READY)
    return state.with_stream(record.moved(Status.MERGED, tip=tip, landed=commit, reason="", ended_at=now()))


def _refuse_diverged(context: Context, ours: str) -> None:
    upstream = remote.upstream_of(context)
    theirs = context.git.commit_id(upstream.ref) if upstream.ref else None
    if theirs is not None and not context.git.is_ancestor(theirs, ours):
        raise RefusedError(
            f"{context.integration} does not have what {upstream.remote} has",
            "bring the two together first, then it can land",
        )


def _unfinished(context: Context, record: StreamRecord, *, giving_up: bool = False) -> StreamRecord:
    """Return the stream as it is now that no pass runs. Raises ``RefusedError`` where it has come to its end meanwhile."""
    current = context.store.read().streams.get(record.stream)
    if current is None or (current.status is not record.status and current.status in _OVER):
        became = "has landed" if current is None or current.landed else f"is {current.status}"
        raise RefusedError(f"{record.name} {became} meanwhile", "`loki-hooks status` shows what became of it")
    require_finishable(current, giving_up=giving_up)
    return current


def keep(context: Context, record: StreamRecord) -> None:
    """Give the worktree back and keep the branch. Raises ``RefusedError`` by the classifier's reasons."""
    require_person(context.site, Deed.FINISH, record.stream)
    require_finishable(record)
    require_committed(record, look_ahead(context, record))
    if context.git.commit_id(f"refs/heads/{record.branch}") is None:
        raise LokiError(f"the branch {record.branch} of {record.name} is gone", "there is nothing to keep")
    with hold_pass(context.site) as lock:
        record = _unfinished(context, record)
        removal = judge(context, record, Going.WORKTREE)
        if removal.remove:
            removal = retire(context, lock, record, Going.WORKTREE, removal, time=stamp())
        if not removal.remove:
            raise refuse(record, removal.reasons, Going.WORKTREE)


@dataclass(frozen=True)
class Abandoned:
    """Where all is: ``trash`` the ref, ``work`` the commit of what was uncommitted, ``folder`` what was moved."""

    trash: str
    work: str
    folder: str


def abandon(context: Context, record: StreamRecord) -> Abandoned:
    """Bring worktree and branch to the trash, with all that is in them. Raises ``LokiError``; then all is as it was."""
    require_person(context.site, Deed.FINISH, record.stream)
    require_finishable(record, giving_up=True)
    time = stamp()
    with hold_pass(context.site) as lock:
        record = _unfinished(context, record, giving_up=True)
        facts = facts_of(context, record, Care.CONTENT)
        removal = classify(facts, Going.TO_TRASH)
        if not removal.remove:
            raise refuse(record, removal.reasons, Going.TO_TRASH)
        saved, folder = salvage.Salvage("", ""), ""
        if facts.folder:
            saved, folder = _empty(context, record, facts, time)
        elif facts.away:
            saved = salvage.save_registered(context, record)
        more = {"work": saved.work, "index": saved.index, "files": folder}
        try:
            removal = retire(context, lock, record, Going.TO_TRASH, removal, time=time, work=saved.work, more=more)
        except LokiError:
            _refill(record, saved, folder)
            raise
        if not removal.remove:
            _refill(record, saved, folder)
            raise refuse(record, removal.reasons, Going.TO_TRASH)
    return Abandoned(f"{TRASH}{record.stream}/{time}", saved.work, folder)


def _empty(context: Context, record: StreamRecord, facts: WorktreeFacts, time: str) -> tuple[Salvage, str]:
    """Save what is uncommitted, then take it out of the worktree. Raises ``LokiError``; then all is as it was."""
    saved = salvage.save(context, record, facts)
    # Pinned before anything is taken away: whoever is killed from here on has lost nothing.
    pinned = f"{TRASH}{record.stream}/{time}"
    if saved.work and not context.git.update_ref(pinned, saved.work, None, "uncommitted work"):
        raise LokiError(f"cannot pin the uncommitted work of {record.name}", "nothing was changed")
    folder = salvage.clear(context, record, saved, time)
    if uncommitted_in(context, record, Care.HIDDEN) or facts_of(context, record).precious:
        _refill(record, saved, folder)
        raise LokiError(f"{record.path} changed while it was being saved", "somebody works in it: try again")
    return saved, folder


def _refill(record: StreamRecord, saved: Salvage, folder: str) -> None:
    if record.path and not astray(Path(record.path)):
        salvage.bring_back(Path(record.path), saved.work, saved.index, folder)
