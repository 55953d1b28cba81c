"""The steps of the streams that write what landed."""

from __future__ import annotations

from loki_hooks.actions.context import Context
from loki_hooks.actions.streams.records import record_of
from loki_hooks.actions.writing import rounds
from loki_hooks.domain.reconcile.outcome import StepOutcome, done, waits
from loki_hooks.domain.reconcile.writing import Begin, CloseItems, Rest
from loki_hooks.system.locks import PassLock
from loki_hooks.system.store import events


def close_items(context: Context, _lock: PassLock, step: CloseItems) -> StepOutcome:
    closed = rounds.close_items(context, record_of(context, step.stream))
    events.record(context.site, "items-settled", step.stream, detail=f"{closed} items closed")
    return done(f"{closed} items closed")


def rest(context: Context, _lock: PassLock, step: Rest) -> StepOutcome:
    rounds.rest(context, step.kind, step.status)
    return done(step.status.value)


def begin(context: Context, _lock: PassLock, step: Begin) -> StepOutcome:
    problem = rounds.begin(context, step.kind)
    return waits(problem) if problem else done(f"{step.items} items wait")
