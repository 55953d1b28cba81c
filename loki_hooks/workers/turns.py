"""Wait for what streams wait for: a time, or what people change. Passes are processes of their own, so this one stays light."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.sessions.turns import (
    LOCK,
    LOOK,
    see_to_turns,
    waits_for_a_time,
    waits_for_somebody,
    what_people_change,
)
from loki_hooks.domain.work import ReconcileWork, TurnsWork
from loki_hooks.system.locks import try_hold
from loki_hooks.system.processes.detach import worker_argv
from loki_hooks.system.processes.run import run, scrubbed
from loki_hooks.system.site import Site, discover

OFTEN = 20.0
"""A look takes at most one of so many seconds: in a large repository looks are more seldom."""
ANYWAY, ANYWAY_MOST = 300.0, 3600.0
"""Seconds after which a pass is made though nothing that is looked at has changed: at first, and at most."""
LONGEST = 86400.0
"""Seconds after which nobody waits any more for a person who does nothing; the next pass waits again."""
_PASS = 3600.0


def run_turns(work: TurnsWork) -> None:
    """Wait as long as anything waits, unless told to stop."""
    site = discover(Path(work.folder))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    over = wait_for_turns(site, stop)
    if over and not stop.is_set() and site.enabled:
        see_to_turns(Context(site))  # whoever came while we were about to leave


@dataclass
class _Waiting:
    """What was last seen, and when a pass is made anyway."""

    seen: tuple[str, ...] | None = None
    timed: bool = False
    pause: float = ANYWAY
    again: float = 0.0

    def is_due(self, left: float | None, seen: tuple[str, ...] | None) -> bool:
        """Return whether a pass is due. The first look is followed by one: who changed what before it is not missed."""
        changed = seen is not None and seen != self.seen
        anyway = seen is not None and time.monotonic() >= self.again
        due = changed or anyway or (left is None and (self.timed or seen is None))
        if due:
            self.pause = ANYWAY if changed else min(self.pause * 2, ANYWAY_MOST)
            self.again = time.monotonic() + self.pause
        self.seen, self.timed = seen, left is not None
        return due


def wait_for_turns(site: Site, stop: threading.Event) -> bool:
    """Wait until no stream waits any more, having a pass made whenever one may help. False: others wait, or it is long."""
    lock = try_hold(site.private / LOCK)
    if lock is None:
        return False
    context, waiting, began = Context(site), _Waiting(), time.monotonic()
    with lock:
        while site.enabled and not stop.is_set():
            left, somebody = waits_for_a_time(context), waits_for_somebody(context)
            if somebody and time.monotonic() - began > LONGEST:
                return False
            looked = time.monotonic()
            due = waiting.is_due(left, what_people_change(context) if somebody else None)
            took = time.monotonic() - looked
            if due:
                work = ReconcileWork("waited", "native", str(site.root))
                run(worker_argv(work), cwd=site.root, env=scrubbed(), timeout=_PASS)
            if left is None and not somebody:
                return True
            if not due:
                stop.wait(max(took * OFTEN, min(LOOK if left is None else left + 0.01, LOOK)))
    return False
