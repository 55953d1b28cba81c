"""Publish the moves of streams: what every step of a pass does to the state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loki_hooks.actions.context import Context
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import Status
from loki_hooks.errors import LokiError


class Moves:
    """Changes streams in one context."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.site = context.site

    def change(self, stream: str, change: Callable[[StreamRecord], StreamRecord]) -> StreamRecord | None:
        """Publish a change of one stream; return the stream as it is now, None when it is gone."""

        def apply(state: State) -> State:
            record = state.streams.get(stream)
            return state if record is None else state.with_stream(change(record))

        return self.context.store.update(apply).streams.get(stream)

    def move(self, stream: str, status: Status, **changes: Any) -> StreamRecord | None:
        return self.change(stream, lambda record: record.moved(status, **changes))

    def record_of(self, stream: str) -> StreamRecord:
        record = self.context.store.read().streams.get(stream)
        if record is None:
            raise LokiError(f"the stream {stream} is gone")
        return record
