"""Set up a worktree that somebody else made and a pass adopted."""

from __future__ import annotations

from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.streams.setup import run_setup
from loki_hooks.domain.work import SetupWork
from loki_hooks.errors import LokiError
from loki_hooks.system.site import discover
from loki_hooks.system.store import events


def set_up(work: SetupWork) -> None:
    """Set the stream's worktree up, if it is still there; how that went is an event."""
    stream = work.stream
    context = Context(discover(Path(work.folder)))
    record = context.store.read().streams.get(stream)
    if record is None or not Path(record.path).is_dir():
        return
    try:
        seen = run_setup(
            context,
            Path(record.path),
            context.config.working.environment,
            stream=stream,
            branch=record.branch,
            values=context.values_of(record),
            log=context.site.folder("logs") / f"setup-{stream}.log",
        )
    except LokiError as error:
        events.record(context.site, "setup-failed", stream, detail=error.message)
        return
    events.record(context.site, "set-up", stream, detail=seen)
