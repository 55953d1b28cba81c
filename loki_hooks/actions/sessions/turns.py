"""Streams that wait for a time: their agent's provider turned them away, and takes them again later.

Nothing else may happen until then, so while such a stream is queued one process of ours waits for it (a kernel lock
says which), and has a pass made when the time has come. If it is killed, the next pass of anybody starts another.
"""

from __future__ import annotations

from loki_hooks.actions.context import Context
from loki_hooks.domain.streams.failures import GIVE_UP
from loki_hooks.domain.streams.status import Status
from loki_hooks.domain.work import TurnsWork
from loki_hooks.system.clock import now, seconds_since
from loki_hooks.system.locks import try_hold
from loki_hooks.system.processes.detach import worker_argv
from loki_hooks.system.processes.run import scrubbed
from loki_hooks.system.processes.start import start_detached

LOCK = "turns.lock"
LOOK = 2.0
"""Seconds between two looks at what waits, which may have changed meanwhile."""


def waits_for_a_time(context: Context, since: str = "") -> float | None:
    """Return the seconds until something may be tried again, None when nothing waits for a time.

    That is a queued stream whose provider turned it away, and what failed and was not given up.

    ``since``: what was not over at that time counts as waiting (default: now).
    """
    at = since or now()
    records = context.store.read().streams.values()
    times = [r.not_before for r in records if r.status is Status.QUEUED and r.not_before > at]
    times += [f.not_before for r in records for f in r.failures.values() if f.times < GIVE_UP and f.not_before > at]
    ages = [seconds_since(time) for time in times]
    return min((max(0.0, -age) for age in ages if age is not None), default=None)


def see_to_turns(context: Context, since: str = "") -> None:
    """Have a process wait, if a stream waits for a time and nobody waits for it yet. ``since``: when it was last looked at."""
    if waits_for_a_time(context, since) is None:
        return
    free = try_hold(context.site.private / LOCK)
    if free is not None:
        free.release()
        start_detached(worker_argv(TurnsWork(str(context.site.root))), cwd=context.site.root, env=scrubbed())
