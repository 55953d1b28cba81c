"""`loki-hooks lock`: run a command that only one stream may run at a time."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from loki_hooks.actions.requests.lock import run_locked
from loki_hooks.cli.console import say
from loki_hooks.errors import BadInputError
from loki_hooks.system.site import require_enabled

if TYPE_CHECKING:
    from loki_hooks.system.store.named_locks import NamedLockHolder


@click.command("lock")
@click.argument("name", metavar="NAME")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=None,
    metavar="S",
    help="Wait at most so many seconds for it; without it, for as long as it takes.",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[--timeout S] -- COMMAND...")
def lock(name: str, timeout: float | None, command: tuple[str, ...]) -> None:
    """Run COMMAND while holding the lock NAME, which all worktrees of the repository share.

    For what worktrees do not isolate: a database, a device, a port. The exit status is the command's; 1 when the lock
    was not got in time.
    """
    if not command:
        raise BadInputError("there is no command to run", "loki-hooks lock NAME -- COMMAND")

    def waiting(holder: NamedLockHolder) -> None:
        say(f"waiting for the lock {name}, held by {holder.text}")

    sys.exit(run_locked(require_enabled(), name, command, timeout=timeout, waiting=waiting))
