"""The spawn queue as files: what waits for a free place, for people and programs to see.

The truth is the streams' status; this folder follows it, so an item can be neither lost nor started twice.
"""

from __future__ import annotations

from contextlib import suppress

from loki_hooks.actions.context import Context
from loki_hooks.domain.queue import item_id
from loki_hooks.domain.status import Status
from loki_hooks.domain.streams import StreamRecord
from loki_hooks.errors import BadInputError
from loki_hooks.system import queue_files

QUEUE = "spawn"


def show_spawn_queue(context: Context) -> None:
    """Have ``queue/spawn/`` hold exactly the streams that wait to be started; the others' items are done."""
    waiting = {_key(r): r for r in context.store.read().streams.values() if r.status is Status.QUEUED}
    for key, record in waiting.items():
        queue_files.put(
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
    for item in queue_files.listed(context.site, QUEUE):
        if "stream" in item and item.get("key") not in waiting:
            queue_files.done(context.site, QUEUE, str(item["id"]))


def started(context: Context, record: StreamRecord) -> None:
    """Say that the stream does not wait any more."""
    with suppress(BadInputError):  # it was never queued for so long that a pass saw it
        queue_files.done(context.site, QUEUE, item_id(_key(record)))


def _key(record: StreamRecord) -> str:
    return f"{record.stream}|{record.created_at}|{record.last_run}"
