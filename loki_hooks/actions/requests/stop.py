"""Stop a stream's session: ask its runner, which ends all of the agent's processes and tells how it ended.

Nothing but a runner of ours is ever signalled: whoever is only about to make a stream, or to start one, is a spawn, a hook, a
pass that has other things to do. What it has not begun yet is called off in the state instead.
"""

from __future__ import annotations

import signal
import time
from dataclasses import replace

from loki_hooks.actions.consent import require_person
from loki_hooks.actions.context import Context
from loki_hooks.actions.reconcile.run import reconcile
from loki_hooks.domain.asker import Deed
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.signals import SignalName
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import IN_SESSION, IN_TRAIN, Status
from loki_hooks.errors import RefusedError
from loki_hooks.system.clock import now
from loki_hooks.system.locks import hold_pass
from loki_hooks.system.processes.alive import is_alive, wait_until_gone
from loki_hooks.system.processes.session_tree import SessionTree, is_worker, send
from loki_hooks.system.store import events, signals

PATIENCE = 15.0
ATTEMPTS = 5
LOOK = 0.05


def stop_stream(context: Context, word: str) -> StreamRecord:
    """Stop the session (or take the queued stream out of the queue) and return the stream as it is then.

    What `finish --merge` asked for is taken back. Raises ``RefusedError`` when there is nothing to stop. Nothing of the work
    is touched. A stream in the queue that is being started at this moment is either taken out before its runner takes it, or
    its runner is stopped. One that is still being made gets its worktree, and no session: it is ``open`` then, or soon
    (``planned``).
    """
    record = context.require_stream(word)
    require_person(context.site, Deed.STOP, record.stream)
    if record.waits_in_plan:
        raise RefusedError(
            f"{record.name} has no session: it waits for its turn",
            f"`loki-hooks finish {record.name} --abandon` gives it up",
        )
    if record.status is Status.PLANNED:
        record = _called_off(context, record)
        if record.status in {Status.PLANNED, Status.OPEN}:
            events.record(context.site, "stopped", record.stream, detail="before it had a session")
            return record
    if record.wanted and record.status in IN_TRAIN:
        return _taken_back(context, record)
    if record.status is not Status.QUEUED and record.status not in IN_SESSION:
        raise RefusedError(f"{record.name} has no session ({record.status})", "`loki-hooks status` shows what runs")
    after = record
    for _ in range(ATTEMPTS):
        if after.status in IN_SESSION and _runs(after):
            _end_session(context, after)
        after = context.store.update(lambda state: _settled(state, record.stream)).streams.get(record.stream, after)
        if after.status is not Status.QUEUED and after.status not in IN_SESSION:
            break
    events.record(context.site, "stopped", record.stream)
    reconcile(context.site, wait=5)
    return after


def _taken_back(context: Context, record: StreamRecord) -> StreamRecord:
    """Take back a person's wish to merge the stream: it is stopped, out of the train. Raises ``RefusedError`` too late."""
    with hold_pass(context.site):  # none lands it meanwhile

        def taken(state: State) -> State:
            current = state.streams.get(record.stream)
            if current is None or current.status not in IN_TRAIN:
                raise RefusedError(f"{record.name} has landed, or left the train", "`loki-hooks status` shows it")
            ready = current if current.status is Status.READY else current.moved(Status.READY)
            why = "its merge was called off by a person"
            return state.with_stream(ready.moved(Status.STOPPED, wanted="", reason=why, before=f"stopped: {why}"))

        after = context.store.update(taken).streams[record.stream]
        signals.clear(context.site, SignalName("MERGE_REQUESTED", record.stream))
    events.record(context.site, "stopped", record.stream, detail="its merge was called off")
    reconcile(context.site, wait=5)
    return after


def _called_off(context: Context, record: StreamRecord) -> StreamRecord:
    """Have no session start in a stream that is still being made; wait a while until it is made, and return it."""
    stream = record.stream
    deadline = time.monotonic() + PATIENCE
    while True:
        context.store.update(lambda state: _without_launch(state, stream))
        current = context.store.read().streams.get(stream)
        if current is None:
            raise RefusedError(f"{record.name} could not be made", "`loki-hooks spawn` it again")
        if current.status is not Status.PLANNED or time.monotonic() > deadline:
            return current
        if not is_alive(current.claim):
            reconcile(context.site, wait=5)  # it finishes what the dead one began, or takes it back
        time.sleep(LOOK)


def _without_launch(state: State, stream: str) -> State:
    current = state.streams.get(stream)
    if current is None or current.status is not Status.PLANNED:
        return state
    return state.with_stream(replace(current, launch=False))


def _runs(record: StreamRecord) -> bool:
    """Whether the stream's recorded session lives and is a runner of ours."""
    return record.session is not None and is_alive(record.session) and is_worker(record.session.pid)


def _end_session(context: Context, record: StreamRecord) -> None:
    runner = record.session
    assert runner is not None
    send(runner, signal.SIGTERM)
    if not wait_until_gone([runner], PATIENCE):
        send(runner, signal.SIGKILL)
        wait_until_gone([runner], 2)
    agent = context.store.read().streams.get(record.stream, record).agent_process
    SessionTree(runner, agent or record.agent_process).end(grace=2)  # its runner did that, if it could


def _settled(state: State, stream: str) -> State:
    """Return the state with the stream stopped: where it was queued, or its runner is gone without a word."""
    current = state.streams.get(stream)
    if current is None or (current.status is not Status.QUEUED and current.status not in IN_SESSION):
        return state
    if _runs(current):
        return state  # it was started meanwhile
    return state.with_stream(
        current.moved(
            Status.STOPPED,
            session=None,
            claim=None,
            claim_token="",
            agent_process=None,
            ended_at=now(),
            not_before="",
            last_run=current.started_at or current.last_run,
            before="stopped: by a person",
            trouble="",
            reason="stopped by a person",
        )
    )
