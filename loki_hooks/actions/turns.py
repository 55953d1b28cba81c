"""Streams that wait for a time: their agent's provider turned them away, and takes them again later.

Nothing else may happen until then, so while such a stream is queued one process of ours waits for it (a kernel lock
says which), and has a pass made when the time has come. If it is killed, the next pass of anybody starts another.
"""

from __future__ import annotations

import threading

from loki_hooks.actions.context import Context
from loki_hooks.domain.status import Status
from loki_hooks.system.clock import now, seconds_since
from loki_hooks.system.files import held
from loki_hooks.system.processes import scrubbed, start_detached, worker_argv
from loki_hooks.system.site import Site

LOCK = "turns.lock"
_LOOK = 2.0


def waits_for_a_time(context: Context) -> float | None:
    """Return the seconds until the first of the queued streams may start again, None when none waits for a time."""
    at = now()
    times = [r.not_before for r in context.store.read().streams.values() if r.status is Status.QUEUED and r.not_before > at]
    since = [seconds_since(time) for time in times]
    return min((max(0.0, -seconds) for seconds in since if seconds is not None), default=None)


def see_to_turns(context: Context) -> None:
    """Have a process wait, if a stream waits for a time and nobody waits for it yet."""
    if waits_for_a_time(context) is None:
        return
    with held(context.site.private / LOCK, timeout=0) as free:
        pass
    if free:
        start_detached(worker_argv("worker", "turns", str(context.site.root)), cwd=context.site.root, env=scrubbed())


def wait_for_turns(site: Site, stop: threading.Event) -> bool:
    """Wait until no stream waits for a time any more; return whether a pass should be made now."""
    from loki_hooks.actions.reconcile import reconcile

    with held(site.private / LOCK, timeout=0) as mine:
        if not mine:
            return False
        before = False
        while not stop.is_set():
            left = waits_for_a_time(Context(site)) if site.enabled else None
            if left is None:
                return before
            before = True
            if not stop.wait(min(left + 0.01, _LOOK)) and left <= _LOOK:
                reconcile(site, wait=60)
    return False
