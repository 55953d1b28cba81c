"""`loki-hooks trust`: the user's word for the commands that this repository brings."""

from __future__ import annotations

import click

from loki_hooks.actions.consent import asked, give_trust
from loki_hooks.actions.requests.wake import wake
from loki_hooks.cli.console import answer, printable, say
from loki_hooks.system.site import require_enabled


@click.command("trust")
@click.option("--show", is_flag=True, help="List what would run, and record nothing.")
def trust(show: bool) -> None:
    """Allow what this repository's configuration runs.

    Agents, set-up commands, gates, the variables they get, and which untracked files are copied into worktrees: each is
    listed, those that are new marked. When one of them changes, it is asked for again. LOKI_TRUST=1 allows everything;
    inside a session it counts for nothing.
    """
    site = require_enabled()
    found = asked(site) if show else give_trust(site)
    for item in found.items:
        # in one line: what is trusted must not be able to look like two things
        answer(
            f"{'new' if item in found.new else '   '} {printable(f'{item.kind} {item.name}: {item.command}', keep='')}"
        )
    if found.held:
        word = "a stream changed, not in force yet" if show else "approved"
        say(f"{word}: {', '.join(found.held)} of the integration branch's configuration")
    if show:
        say("nothing is new" if not found.new else f"{len(found.new)} not trusted yet: say so with `loki-hooks trust`")
    else:
        say("all of it was trusted already" if not found.new else f"trusted: {len(found.new)}")
        wake(site, "trust")  # what waited for it goes on
