"""Claim an item of a queue, or say that it is done."""

from __future__ import annotations

import os
from enum import Enum
from typing import TYPE_CHECKING, Any

from loki_hooks.actions.context import Context
from loki_hooks.actions.streams.here import streams_here
from loki_hooks.actions.writing.queue_signals import show_queues
from loki_hooks.actions.writing.rounds import say_written
from loki_hooks.errors import BadInputError
from loki_hooks.system.processes.alive import identify, is_alive
from loki_hooks.system.store import queues

if TYPE_CHECKING:
    from loki_hooks.domain.streams.record import ProcessId, StreamRecord
    from loki_hooks.domain.writing.queue import ItemState


def claim(context: Context, queue: str, ident: str | None, owner: int | None) -> dict[str, Any] | None:
    """Take the item ``ident`` (None: the oldest) for a process; return it, or None when there is none to take.

    It is the process ``owner``; default: the living session of the worktree that the caller is in, else the caller's
    parent. Raises ``BadInputError`` where there is no such process, or no such item.
    """
    item = queues.claim(context.site, queue, ident, _owner(context, owner))
    if item is None and ident is not None:
        state_of(context, queue, ident)
    return item


def state_of(context: Context, queue: str, ident: str) -> ItemState:
    """Return how it is with the item. Raises ``BadInputError`` when the queue has none of that id."""
    state = queues.state_of(context.site, queue, ident)
    if state is None:
        raise BadInputError(f"the {queue} queue has no item {ident}", f"see `loki-hooks queue list {queue}`")
    return state


class DoneItem(Enum):
    """What became of the word that an item is done."""

    NOW = "it is done"
    ONCE_LANDED = "it is done once the stream has landed"
    BEFORE = "it was done already"


def done(context: Context, queue: str, ident: str) -> tuple[DoneItem, str]:
    """Say that the item is done, for the stream whose worktree the caller is in; return what became of it, and the stream."""
    records = streams_here(context.store.read(), context.site)
    record = next((r for r in records if r.kind != "main"), None)
    stream = record.stream if record is not None else ""
    if record is not None and say_written(context, record, ident):
        return DoneItem.ONCE_LANDED, stream
    if not queues.done(context.site, queue, ident, _who(record)):
        return DoneItem.BEFORE, stream
    show_queues(context)
    return DoneItem.NOW, stream


def _who(record: StreamRecord | None) -> dict[str, str]:
    if record is not None:
        return {"stream": record.stream, "how": "said to be done in its worktree"}
    return {"how": "said to be done by hand"}


def _owner(context: Context, pid: int | None) -> ProcessId:
    if pid is None:
        for record in streams_here(context.store.read(), context.site):
            if record.session is not None and is_alive(record.session):
                return record.session
    wanted = os.getppid() if pid is None else pid
    found = identify(wanted)
    if found is None:
        raise BadInputError(f"there is no process {wanted}", "name one that runs: --owner PID")
    return found
