"""The steps of removal: a stream is cleaned up, or is forgotten because others removed it."""

from __future__ import annotations

from dataclasses import replace

from loki_hooks.actions.context import Context
from loki_hooks.actions.removal.retire import clean_stream
from loki_hooks.actions.safe.away import release
from loki_hooks.actions.safe.snapshot import forget as forget_snapshot
from loki_hooks.actions.streams.records import change, record_of
from loki_hooks.domain.reconcile.outcome import StepOutcome, done, waits
from loki_hooks.domain.reconcile.removal import Clean
from loki_hooks.domain.reconcile.streams import Vanished
from loki_hooks.system.locks import PassLock
from loki_hooks.system.store import events
from loki_hooks.system.store.spawn_environment import forget


def clean(context: Context, lock: PassLock, step: Clean) -> StepOutcome:
    removal = clean_stream(context, lock, record_of(context, step.stream))
    if removal.remove:
        return done("; ".join(removal.reasons))
    reason = f"kept: {'; '.join(removal.reasons)}"
    change(context, step.stream, lambda r: replace(r, reason=reason))
    return waits(reason)


def vanished(context: Context, _lock: PassLock, step: Vanished) -> StepOutcome:
    release(context, step.stream)
    context.store.update(lambda s: s.without(step.stream))
    forget(context.site, step.stream)
    forget_snapshot(context, step.stream)
    events.record(context.site, "vanished", step.stream, detail=step.reason)
    return done(step.reason)
