"""`loki-hooks uninstall`: everything back as it was before `install`."""

from __future__ import annotations

import click

from loki_hooks.actions.consent import require_person
from loki_hooks.actions.install.uninstall import uninstall as undo
from loki_hooks.cli.console import answer, say
from loki_hooks.domain.asker import Deed
from loki_hooks.system.site import discover, require_own


@click.command("uninstall")
def uninstall() -> None:
    """Take the hooks out and put everything back as it was.

    What somebody changed since is left as it is, and named. Streams, their logs and archives stay, and whatever others
    have in .loki/; work that was removed stays pinned in refs/loki/trash. Worktrees and refs that stay are named, each
    with the command that removes it. While a session or a test runs, it refuses.
    """
    site = require_own(discover())
    require_person(site, Deed.TURN_OFF)
    undone = undo(site)
    for line in undone.done:
        say(line)
    for line in undone.left:
        say(f"left: {line}")
    if undone.done:
        answer(f"loki-hooks is off in {site.root}")
    else:
        say("nothing to do")
