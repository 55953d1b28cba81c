"""Whether anything is under way that will change by itself."""

from __future__ import annotations

from loki_hooks.actions.context import Context
from loki_hooks.actions.gates.runners import under_way
from loki_hooks.actions.sessions.turns import waits_for_a_time
from loki_hooks.domain.streams.status import IN_SESSION, Status
from loki_hooks.system.processes.alive import is_alive


def something_moves(context: Context) -> bool:
    """Return whether a session or a gate runs, or a stream waits for one that does."""
    records = context.store.read().streams.values()
    if any(
        is_alive(r.session) or is_alive(r.claim) or r.status in IN_SESSION or r.status is Status.TESTING
        for r in records
    ):
        return True
    return under_way(context) or waits_for_a_time(context) is not None
