"""Wait until a stream's provider takes it again."""

from __future__ import annotations

import threading
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.gates.run import on_signals
from loki_hooks.actions.reconcile.run import reconcile
from loki_hooks.actions.sessions.turns import LOCK, LOOK, see_to_turns, waits_for_a_time
from loki_hooks.domain.work import TurnsWork
from loki_hooks.system.locks import try_hold
from loki_hooks.system.site import Site, discover


def run_turns(work: TurnsWork) -> None:
    """Wait as long as anything waits for a time, unless told to stop."""
    site = discover(Path(work.folder))
    stop = threading.Event()
    on_signals(stop)
    wait_for_turns(site, stop)
    if not stop.is_set() and site.enabled:
        see_to_turns(Context(site))  # whoever came while we were about to leave


def wait_for_turns(site: Site, stop: threading.Event) -> None:
    """Wait until no stream waits for a time any more, having a pass made whenever one may start."""
    lock = try_hold(site.private / LOCK)
    if lock is None:  # somebody else waits
        return
    with lock:
        while site.enabled and not stop.is_set():
            left = waits_for_a_time(Context(site))
            if left is not None and (stop.wait(min(left + 0.01, LOOK)) or left > LOOK):
                continue
            reconcile(site, wait=60)
            if left is None:
                return
