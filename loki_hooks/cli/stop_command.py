"""`loki-hooks stop`: end a stream's session; its work stays."""

from __future__ import annotations

import click

from loki_hooks.actions.context import Context
from loki_hooks.actions.requests.stop import stop_stream
from loki_hooks.cli.console import say
from loki_hooks.domain.streams.status import Status
from loki_hooks.system.site import require_enabled


@click.command("stop")
@click.argument("name")
def stop(name: str) -> None:
    """End the session of NAME, take it out of the queue, or take back what `finish NAME --merge` asked for.

    Worktree, branch and work stay as they are. A stream that is still being made gets its worktree, and no session. A
    session may stop its own stream only.
    """
    record = stop_stream(Context(require_enabled()), name)
    if record.status is Status.PLANNED:
        say(f"{record.stream} is still being made; no session will start in it")
        return
    say(f"{record.stream} is {record.status}" + (f"; its work is in {record.path}" if record.path else ""))
