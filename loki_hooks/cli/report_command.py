"""`loki-hooks report`: what has happened, a sentence each."""

from __future__ import annotations

import sys

import click

from loki_hooks.actions.view.since import told
from loki_hooks.cli.console import answer
from loki_hooks.system.site import require_enabled


@click.command("report")
@click.option("-f", "--follow", is_flag=True, help="Go on, and print what happens as it does, until Ctrl-C.")
def report(follow: bool) -> None:
    """Print what has happened here: sessions, tests, landings, and what went wrong."""
    for line in told(require_enabled(), follow=follow):
        answer(line)
        sys.stdout.flush()
