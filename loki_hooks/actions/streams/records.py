"""Publish the moves of streams: what every step of a pass does to the state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loki_hooks.actions.context import Context
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import Status
from loki_hooks.errors import LokiError


def change(context: Context, stream: str, to: Callable[[StreamRecord], StreamRecord]) -> StreamRecord | None:
    """Publish a change of one stream; return the stream as it is now, None when it is gone."""

    def apply(state: State) -> State:
        record = state.streams.get(stream)
        return state if record is None else state.with_stream(to(record))

    return context.store.update(apply).streams.get(stream)


def move(context: Context, stream: str, status: Status, **changes: Any) -> StreamRecord | None:
    """Publish a move of one stream to another status. Raises ``IllegalMoveError``."""
    return change(context, stream, lambda record: record.moved(status, **changes))


def record_of(context: Context, stream: str) -> StreamRecord:
    """Return the stream's record. Raises ``LokiError`` when it is gone."""
    record = context.store.read().streams.get(stream)
    if record is None:
        raise LokiError(f"the stream {stream} is gone")
    return record
