"""Make passes until nothing moves any more: what `run` does, and `finish` while it waits for a landing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.gates.runners import under_way
from loki_hooks.actions.landing.signing import try_again
from loki_hooks.actions.reconcile.run import Report, reconcile
from loki_hooks.actions.sessions.turns import waits_for_a_time
from loki_hooks.actions.view.telling import Telling
from loki_hooks.domain.streams.status import IN_SESSION, Status
from loki_hooks.system.locks import PASS_PATIENCE
from loki_hooks.system.processes.alive import is_alive
from loki_hooks.system.site import Site

EVERY = 5.0
LOOK = 0.1


def passes(site: Site, moves: Callable[[Report], bool], *, say: Callable[[str], None]) -> Iterator[Report]:
    """Make passes, each as soon as there is news, until nothing moved after two in a row; yield the report of each.

    ``moves`` is asked after each pass. One look is not enough: what ended between the pass and the look has something
    start in the next. ``say`` is told what happens meanwhile, whoever does it. The first pass asks the upstream.
    """
    telling = Telling(site, say)
    try_again(site)
    first, still = True, 0
    while still < 2:
        before = _stamp(site)
        report = reconcile(site, wait=PASS_PATIENCE, fetch=first, say=say)
        first = False
        telling.go_on()
        yield report
        still = 0 if moves(report) else still + 1
        if not still:
            _wait_for_news(site, before)


def something_moves(context: Context) -> bool:
    """Return whether a session or a gate runs, or a stream waits for one that does."""
    records = context.store.read().streams.values()
    if any(
        is_alive(r.session) or is_alive(r.claim) or r.status in IN_SESSION or r.status is Status.TESTING
        for r in records
    ):
        return True
    return under_way(context) or waits_for_a_time(context) is not None


def _wait_for_news(site: Site, before: tuple[int, ...]) -> None:
    """Wait until the state or the signals change, at most ``EVERY`` seconds."""
    deadline = time.monotonic() + EVERY
    while time.monotonic() < deadline and _stamp(site) == before:
        time.sleep(LOOK)


def _stamp(site: Site) -> tuple[int, ...]:
    return tuple(_mtime(site.loki / name) for name in ("state/orchestrator.json", "state/events.jsonl", "signals"))


def _mtime(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
