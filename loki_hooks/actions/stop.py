"""Stop a stream's session: ask its runner, which ends the agent's whole group and tells how it ended."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from loki_hooks.actions.context import Context
from loki_hooks.actions.reconcile import reconcile
from loki_hooks.domain.status import IN_SESSION, Status
from loki_hooks.domain.streams import State, StreamRecord
from loki_hooks.errors import RefusedError
from loki_hooks.system import events
from loki_hooks.system.clock import now
from loki_hooks.system.processes import is_alive, kill_group, wait_until_gone

PATIENCE = 15.0


def stop_stream(context: Context, word: str) -> StreamRecord:
    """Stop the session (or take the queued stream out of the queue) and return the stream as it is then.

    Raises ``RefusedError`` when there is nothing to stop. Nothing of the work is touched.
    """
    record = context.require_stream(word)
    runner = record.session or record.claim
    if runner is not None and is_alive(runner):
        with suppress(ProcessLookupError):
            os.kill(runner.pid, signal.SIGTERM)
        if not wait_until_gone([runner], PATIENCE):
            with suppress(ProcessLookupError):
                os.kill(runner.pid, signal.SIGKILL)
            wait_until_gone([runner], 2)
        agent = context.store.read().streams[record.stream].agent_process
        if agent is not None and is_alive(agent):
            kill_group(agent.pid, grace=2)
    elif record.status is not Status.QUEUED and record.status not in IN_SESSION:
        raise RefusedError(f"{record.name} has no session ({record.status})", "`loki-hooks status` shows what runs")

    def settle(state: State) -> State:
        current = state.streams.get(record.stream)
        if current is None or (current.status is not Status.QUEUED and current.status not in IN_SESSION):
            return state
        return state.with_stream(current.moved(Status.STOPPED, session=None, claim=None, claim_token="", agent_process=None,
                                               ended_at=now(), reason="stopped by a person"))

    after = context.store.update(settle).streams.get(record.stream, record)
    events.record(context.site, "stopped", record.stream)
    reconcile(context.site, wait=5)
    return after
