"""Wait until a stream's provider takes it again."""

from __future__ import annotations

import threading

from loki_hooks.actions.context import Context
from loki_hooks.actions.sessions.turns import _LOOK, LOCK, waits_for_a_time
from loki_hooks.system.locks import try_hold
from loki_hooks.system.site import Site


def wait_for_turns(site: Site, stop: threading.Event) -> None:
    """Wait until no stream waits for a time any more, having a pass made whenever one may start."""
    from loki_hooks.actions.reconcile.run import reconcile

    lock = try_hold(site.private / LOCK)
    if lock is None:  # somebody else waits
        return
    with lock:
        while site.enabled and not stop.is_set():
            left = waits_for_a_time(Context(site))
            if left is not None and (stop.wait(min(left + 0.01, _LOOK)) or left > _LOOK):
                continue
            reconcile(site, wait=60)
            if left is None:
                return
