"""`loki-hooks sync`: bring a stream up to date with the integration branch."""

from __future__ import annotations

import click

from loki_hooks.actions.context import Context
from loki_hooks.actions.requests.sync import stream_here
from loki_hooks.actions.requests.sync import sync as bring_up_to_date
from loki_hooks.cli.console import say
from loki_hooks.system.site import require_enabled


@click.command("sync")
@click.argument("name", required=False)
def sync(name: str | None) -> None:
    """Rebase NAME (default: the stream whose worktree you are in) on the integration branch, or merge that into it.

    Which of the two is `sync.how` in the configuration. What was taken out of the integration branch (by an amend, a
    rebase, a reset) is left out of NAME: its own commits are made again. Refused while somebody works in it; on a conflict
    everything is as before.
    """
    context = Context(require_enabled())
    record = context.require_stream(name) if name else stream_here(context)
    synced = bring_up_to_date(context, record, say=say)
    if not synced.how:
        say(f"{record.name} is up to date with {context.integration}")
        return
    done = "rebased on" if synced.how == "rebase" else "merged with"
    say(f"{record.name} is {done} {context.integration}: {synced.before[:12]} is now {synced.after[:12]}")
    if synced.left_out:
        shown = ", ".join(commit[:12] for commit in synced.left_out)
        say(f"left out, as it was taken out of {context.integration}: {shown}")
