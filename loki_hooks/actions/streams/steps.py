"""The steps of streams that come, go and become ready. Each is idempotent, and may be killed at any point."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from loki_hooks.actions.consent import untrusted_reason
from loki_hooks.actions.context import Context
from loki_hooks.actions.streams.faults import fail, worked
from loki_hooks.actions.streams.records import change, move, record_of
from loki_hooks.actions.streams.renamed import follow_rename
from loki_hooks.actions.streams.signals import take_ready_signals
from loki_hooks.actions.streams.start_commit import base_commit
from loki_hooks.actions.streams.worktree import copy_environment, furnish, make_worktree
from loki_hooks.domain.reconcile.facts import Found
from loki_hooks.domain.reconcile.outcome import DONE, StepOutcome, done, failed, waits
from loki_hooks.domain.reconcile.streams import (
    Adopt,
    Anew,
    Moved,
    Note,
    Prepare,
    Ready,
    Renamed,
    Seen,
    SeenMerged,
    SetUp,
    Unseen,
)
from loki_hooks.domain.refs import base_ref
from loki_hooks.domain.streams.failures import LOOK
from loki_hooks.domain.streams.record import SETUP_WAITS, StreamRecord
from loki_hooks.domain.streams.signals import SignalName
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import Status
from loki_hooks.domain.work import SetupWork
from loki_hooks.errors import LokiError
from loki_hooks.system.clock import now
from loki_hooks.system.git.operations import git_dir_of
from loki_hooks.system.locks import PassLock
from loki_hooks.system.processes.alive import is_alive
from loki_hooks.system.processes.detach import worker_argv
from loki_hooks.system.processes.run import scrubbed
from loki_hooks.system.processes.start import start_detached
from loki_hooks.system.store import events, signals
from loki_hooks.system.store.spawn_environment import forget
from loki_hooks.system.worktrees.registry import wait_for_git

_ANEW = "its branch was deleted and made anew: say FEATURE_READY when it is ready"


def unseen(context: Context, _lock: PassLock, step: Unseen) -> StepOutcome:
    """Record that a stream could not be looked at; nothing else is done with it until it can."""
    fail(context, step.stream, LOOK, step.reason)
    events.record(context.site, "look-failed", step.stream, detail=step.reason)
    return failed(step.reason)


def seen(context: Context, _lock: PassLock, step: Seen) -> StepOutcome:
    worked(context, step.stream, LOOK)
    change(context, step.stream, lambda r: replace(r, reason=""))
    return DONE


def adopt(context: Context, _lock: PassLock, step: Adopt) -> StepOutcome:
    """Make a stream of a worktree that somebody made, and set it up where that is allowed."""
    found, site = step.found, context.site
    record = _adopted(context, found)

    def add(state: State) -> State:
        there = state.streams.get(record.stream, record)
        over = Status.MERGED if found.again else Status.ARCHIVED
        replaced = there.status in {over, Status.OPEN} or there.resting
        return state.with_stream(record) if replaced else state

    context.store.update(add)
    furnish(context, record)
    evidence = {"path": found.path, "branch": found.branch}
    events.record(site, "adopted", record.stream, commit=found.head, detail=found.note, evidence=evidence)
    untrusted = untrusted_reason(context)
    if untrusted:
        change(context, record.stream, lambda r: replace(r, reason=f"{SETUP_WAITS}{untrusted}"))
        return done(untrusted)
    return _set_up(context, record)


def set_up(context: Context, _lock: PassLock, step: SetUp) -> StepOutcome:
    record = change(context, step.stream, lambda r: replace(r, reason=""))
    return _set_up(context, record) if record is not None else waits("it is gone")


def _set_up(context: Context, record: StreamRecord) -> StepOutcome:
    copy_environment(context, record)
    root = context.site.root
    start_detached(worker_argv(SetupWork(record.stream, str(root))), cwd=root, env=scrubbed())
    return DONE


def _adopted(context: Context, found: Found) -> StreamRecord:
    git = context.git
    record = StreamRecord(
        found.kind, found.name, Status.OPEN, found.path, found.branch, origin="adopted", created_at=now()
    )
    known = git.commit_id(base_ref(record.stream)) if not found.again else None
    if known is not None and git.is_ancestor(known, found.head):
        # Registered before and lost with the state (`git clean -xdf`, a corrupt file): its base is still known, but
        # not whether somebody chose it.
        return replace(record, base=known, explicit_base=not git.is_ancestor(known, context.integration_ref))
    base = git.maybe("merge-base", found.head, context.integration_ref)
    return replace(record, base=base or found.head, explicit_base=base is None)


def prepare(context: Context, _lock: PassLock, step: Prepare) -> StepOutcome:
    """Make the worktree of a planned stream. Where that is impossible it is taken back, unless it is a plan's."""
    record = record_of(context, step.stream)
    if record.status is not Status.PLANNED or is_alive(record.claim):
        return waits("it is being made")
    if not wait_for_git(Path(record.path), 10):
        return waits(f"git is at work in {record.path}")
    if record.waits_in_plan:
        base = base_commit(context, "")
        record = change(context, step.stream, lambda r: replace(r, base=base)) or record
    try:
        make_worktree(context, record)
    except LokiError as error:
        context.git.run("update-ref", "-d", base_ref(step.stream))
        if record.task.plan:  # what a plan asks for is not forgotten: it is tried again, then a person's
            change(context, step.stream, lambda r: replace(r, base=""))
            raise
        context.store.update(lambda s: s.without(step.stream))
        forget(context.site, step.stream)
        events.record(context.site, "rolled-back", step.stream, detail=error.message)
        return failed(error.message)
    move(context, step.stream, Status.QUEUED if record.launch else Status.OPEN, claim=None, reason="")
    if record.task.plan:
        evidence = {"path": record.path, "branch": record.branch, "launch": record.launch}
        events.record(context.site, "spawned", step.stream, commit=record.base, evidence=evidence)
    return DONE


def moved(context: Context, _lock: PassLock, step: Moved) -> StepOutcome:
    """Follow a worktree that somebody moved. One that may be another one, made by hand, is theirs to clean up."""
    old = record_of(context, step.stream).path
    same = git_dir_of(Path(step.path)).name == Path(old).name
    change(context, step.stream, lambda r: replace(r, path=step.path, origin=r.origin if same else "adopted"))
    reason = f"its worktree is in {step.path} now"
    events.record(context.site, "moved", step.stream, detail=reason, evidence={"path": step.path, "before": old})
    return done(reason)


def renamed(context: Context, _lock: PassLock, step: Renamed) -> StepOutcome:
    follow_rename(context, record_of(context, step.stream), step.branch)
    return done(f"its branch is called {step.branch} now")


def anew(context: Context, _lock: PassLock, step: Anew) -> StepOutcome:
    """Begin again with the stream: what was said of the former branch counts for this one no more."""
    git, record = context.git, record_of(context, step.stream)
    was = record.tip
    base = git.maybe("merge-base", step.commit, context.integration_ref) or step.commit
    move(context, step.stream, Status.OPEN, tip="", base=base, wanted="", reason=_ANEW)
    git.update_ref(base_ref(step.stream), base, None, "made anew")
    take_ready_signals(context, record)
    for name in (SignalName("TESTS_PASSED", record.name), SignalName("MERGE_REQUESTED", record.stream)):
        signals.clear(context.site, name)
    events.record(context.site, "made-anew", step.stream, commit=step.commit, detail=_ANEW, evidence={"was": was})
    return done(_ANEW)


def seen_merged(context: Context, _lock: PassLock, step: SeenMerged) -> StepOutcome:
    tip = context.git.commit_id(context.integration_ref) or ""
    record = move(context, step.stream, Status.MERGED, tip=step.commit, landed=tip, reason="", ended_at=now())
    if record is not None:
        take_ready_signals(context, record)
        signals.clear(context.site, SignalName("MERGE_REQUESTED", record.stream))
    events.record(context.site, "merged", step.stream, commit=step.commit, detail="seen in git")
    return DONE


def ready(context: Context, _lock: PassLock, step: Ready) -> StepOutcome:
    record = move(context, step.stream, Status.READY, tip=step.commit, reason="", not_before="", turned_away=0)
    if record is not None:
        take_ready_signals(context, record)
        signals.clear(context.site, SignalName("TESTS_PASSED", record.name))
        signals.clear(context.site, SignalName("TESTS_FAILED", record.name))
        signals.clear(context.site, SignalName("MERGE_REQUESTED", record.stream))
    events.record(context.site, "ready", step.stream, commit=step.commit, detail=step.reason)
    return done(step.reason)


def note(context: Context, _lock: PassLock, step: Note) -> StepOutcome:
    def noted(record: StreamRecord) -> StreamRecord:
        if record.status is Status.TESTING:
            return record.moved(Status.READY, reason=step.reason)
        return replace(record, reason=step.reason)

    change(context, step.stream, noted)
    return waits(step.reason)
