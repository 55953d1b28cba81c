"""What says that a stream is ready: signals in the main ``signals/`` folder, and in the stream's own worktree."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.domain.names import flat
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.system.store import signals


def said_ready(context: Context, streams: Mapping[str, StreamRecord]) -> frozenset[str]:
    """Return the streams of which the main folder says that they are ready.

    A MERGE_REQUESTED that we did not write is a wish to merge, and so the same as FEATURE_READY.
    """
    meant = (_meant(streams, signal) for signal in signals.listed(context.site.loki / "signals"))
    return frozenset(record.stream for record in meant if record is not None)


def says_ready_itself(context: Context, record: StreamRecord) -> bool:
    """Return whether the stream's own worktree says so; there only what speaks of it counts."""
    if record.standing or not record.path or Path(record.path) == context.site.main:
        return False
    own = signals.listed(signals.own_signals_dir(Path(record.path)))
    return any(_meant({record.stream: record}, signal) is not None for signal in own)


def _meant(streams: Mapping[str, StreamRecord], signal: signals.Signal) -> StreamRecord | None:
    kind, subject = signal.name.kind, signal.name.subject
    if kind == "FEATURE_READY" or (kind == "MERGE_REQUESTED" and not signal.ours):
        for record in streams.values():
            if subject in {flat(record.name), record.stream} and not record.standing:
                return record
    return None


def take_ready_signals(context: Context, record: StreamRecord) -> None:
    """Consume what said that the stream is ready, in both places."""
    for folder in (context.site.loki / "signals", signals.own_signals_dir(Path(record.path))):
        for signal in signals.listed(folder):
            if _meant({record.stream: record}, signal) is not None:
                signals.consume(signal.path)
