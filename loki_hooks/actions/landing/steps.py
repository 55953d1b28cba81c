"""The steps of landing beside the train's own: catch up with the upstream, push, propose."""

from __future__ import annotations

from dataclasses import replace

from loki_hooks.actions.context import Context
from loki_hooks.actions.landing import upstream
from loki_hooks.actions.landing.advance import advance
from loki_hooks.actions.landing.propose import propose_tested
from loki_hooks.actions.streams.records import change, record_of
from loki_hooks.domain.reconcile.landing import Forward, Propose, PushTip
from loki_hooks.domain.reconcile.outcome import DONE, StepOutcome, done, waits
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.errors import LokiError
from loki_hooks.system.clock import later
from loki_hooks.system.locks import PassLock
from loki_hooks.system.store import events

PROPOSE_AGAIN, PROPOSE_AGAIN_MOST = 60.0, 3600.0
"""Seconds after which a proposal that did not work is tried again: at first, and at most."""


def forward(context: Context, lock: PassLock, step: Forward) -> StepOutcome:
    problem = upstream.unproved(context, step.upstream)
    if problem:
        return waits(problem)
    moved = advance(context, lock, step.commit, step.old, "fast-forward to upstream")
    if moved.moved:
        events.record(context.site, "forwarded", commit=step.commit)
        return DONE
    return waits(moved.reason)


def push(context: Context, _lock: PassLock, step: PushTip) -> StepOutcome:
    if step.held:
        upstream.not_pushed(context, "push-held", step.commit, step.held)
        return waits(step.held)
    problem = upstream.push(context, step.commit)
    return waits(problem) if problem else DONE


def propose(context: Context, _lock: PassLock, step: Propose) -> StepOutcome:
    """Open the pull request of a stream that passed. What hinders it is noted; it is tried again, ever more seldom."""
    try:
        proposal = propose_tested(context, record_of(context, step.stream))
    except LokiError as error:
        why = error.message
    else:
        if not proposal.again:
            return done(proposal.url or proposal.todo)
        why = f"it is pushed to {proposal.remote}, but not proposed: {proposal.todo}"

    def put_off(record: StreamRecord) -> StreamRecord:
        wait = min(PROPOSE_AGAIN * 2 ** min(record.turned_away, 10), PROPOSE_AGAIN_MOST)
        times = record.turned_away + 1
        return replace(record, reason=f"waits to be proposed: {why}", not_before=later(wait), turned_away=times)

    change(context, step.stream, put_off)
    events.record(context.site, "proposal-waits", step.stream, commit=step.commit, detail=why)
    return waits(why)
