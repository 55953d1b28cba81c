"""The spawn queue as files and signals: what waits for a free place, for people and programs to see.

The truth is the streams' status; these follow it, so an item can be neither lost nor started twice.
"""

from __future__ import annotations

from contextlib import suppress

from loki_hooks.actions.context import Context
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.signals import SignalName
from loki_hooks.domain.streams.status import WAITS_FOR_SESSION, Status
from loki_hooks.domain.writing.queue import item_id
from loki_hooks.errors import BadInputError
from loki_hooks.system.store import queues
from loki_hooks.system.store import signals as signal_files

QUEUE = "spawn"


def show_spawn_queue(context: Context) -> None:
    """Have ``queue/spawn/`` hold exactly the streams that wait to be started; the others' items are done.

    A SPAWN_QUEUED of a stream that does not wait (any more) goes: it was stopped, say, or called off.
    """
    signals = [s for s in signal_files.listed(context.site.loki / "signals") if s.name.kind == "SPAWN_QUEUED"]
    streams = context.store.read().streams
    waiting = {_key(r): r for r in streams.values() if r.status is Status.QUEUED}
    still = {SignalName("SPAWN_QUEUED", r.stream).file for r in streams.values() if r.status in WAITS_FOR_SESSION}
    for signal in signals:
        if signal.ours and signal.name.file not in still:
            signal_files.clear(context.site, signal.name)
    for key, record in waiting.items():
        queues.put(
            context.site,
            QUEUE,
            {
                "stream": record.stream,
                "name": record.name,
                "branch": record.branch,
                "worktree": record.path,
                "task": record.task.title,
                "priority": record.priority,
                "after": list(record.after),
                "key": key,
            },
            key,
        )
    for item in queues.listed(context.site, QUEUE):
        if "stream" in item and item.get("key") not in waiting:
            queues.done(context.site, QUEUE, str(item["id"]))


def started(context: Context, record: StreamRecord) -> None:
    """Say that the stream does not wait any more."""
    with suppress(BadInputError):  # it was never queued for so long that a pass saw it
        queues.done(context.site, QUEUE, item_id(_key(record)))


def _key(record: StreamRecord) -> str:
    return f"{record.stream}|{record.created_at}|{record.last_run}"
