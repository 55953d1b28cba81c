"""The steps of sessions: one starts, one is found dead. Each is idempotent, and may be killed at any point."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path

from loki_hooks.actions.context import Context, body_of
from loki_hooks.actions.streams.records import change, move, record_of
from loki_hooks.domain.reconcile.outcome import StepOutcome, done, waits
from loki_hooks.domain.reconcile.sessions import Fail, GivenUp, Start
from loki_hooks.domain.sessions.ending import Trouble
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.signals import SignalName
from loki_hooks.domain.streams.status import IN_SESSION, Status
from loki_hooks.domain.work import SessionWork
from loki_hooks.system.clock import now
from loki_hooks.system.locks import PassLock
from loki_hooks.system.processes.alive import identify, is_alive, myself
from loki_hooks.system.processes.detach import worker_argv
from loki_hooks.system.processes.session_tree import SessionTree
from loki_hooks.system.processes.start import start_detached
from loki_hooks.system.store import events, signals
from loki_hooks.system.store.spawn_environment import environment_for
from loki_hooks.system.worktrees.registry import unlock_dead


def fail(context: Context, _lock: PassLock, step: Fail) -> StepOutcome:
    """End what a dead runner left running, and mark its stream as failed."""
    record = record_of(context, step.stream)
    if record.status not in IN_SESSION or is_alive(record.session):
        return waits("its session ended, or goes on")
    if record.session is not None:
        SessionTree(record.session, record.agent_process).end(grace=2)
    unlock_dead(context.site, Path(record.path))
    tip = context.git.commit_id(f"refs/heads/{record.branch}") or ""
    move(
        context,
        step.stream,
        Status.FAILED,
        session=None,
        agent_process=None,
        claim=None,
        ended_at=now(),
        reason=step.reason,
        last_run=record.started_at,
        before=f"failed: {step.reason}",
        trouble=Trouble.RUNNER_DIED.value,
        tip=tip,
    )
    events.record(context.site, "session-failed", step.stream, commit=tip, detail=step.reason)
    body = {**body_of(record, commit=tip), "reason": step.reason}
    signals.emit(context.site, SignalName("WORKTREE_FAILED", step.stream), body)
    return done(step.reason)


def start(context: Context, _lock: PassLock, step: Start) -> StepOutcome:
    """Start the stream's runner. The claim says who is about to; its token says which attempt it is."""
    site = context.site
    token = uuid.uuid4().hex
    claimed = change(context, step.stream, lambda r: replace(r, claim=myself(), claim_token=token, reason=""))
    if claimed is None or claimed.status is not Status.QUEUED:
        return waits("it is not queued any more")
    pid = start_detached(
        worker_argv(SessionWork(step.stream, token, str(site.root))),
        cwd=site.root,
        env=environment_for(site, step.stream),
        output=site.folder("logs") / "runner.log",
    )
    runner = identify(pid)

    def hand_over(record: StreamRecord) -> StreamRecord:
        return replace(record, claim=runner) if record.claim_token == token else record

    change(context, step.stream, hand_over)
    return done(f"pid {pid}")


def given_up(context: Context, _lock: PassLock, step: GivenUp) -> StepOutcome:
    """Ask a person about a stream whose forerunner was given up; resumed, it begins without that."""
    record = record_of(context, step.stream)
    names = " and ".join(context.store.read().streams[after].name for after in step.after)
    reason = (
        f"it was to begin after {names}, which was given up: `loki-hooks resume {record.name}` begins it all the same"
    )
    left = tuple(after for after in record.after if after not in step.after)
    move(context, step.stream, Status.ESCALATED, reason=reason, after=left)
    events.record(context.site, "session-escalated", step.stream, detail=reason)
    return done(reason)
