"""`loki-hooks restore`: bring back what was removed."""

from __future__ import annotations

from pathlib import Path

import click

from loki_hooks.actions.context import Context
from loki_hooks.actions.removal.trash import Trashed, to_restore
from loki_hooks.actions.requests.restore import reregister
from loki_hooks.actions.requests.restore import restore as bring_back
from loki_hooks.cli.console import answer_json, say, table
from loki_hooks.errors import BadInputError
from loki_hooks.system.site import require_enabled


@click.command("restore")
@click.argument("name", required=False)
@click.option("--list", "listing", is_flag=True, help="Show what can be brought back.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="With --list: [{name, stream, time, branch, commit, path, uncommitted, files, ref, archive, …}].",
)
def restore(name: str | None, listing: bool, as_json: bool) -> None:
    """Bring back NAME (a name, a branch, or STREAM/TIME of the list): branch, worktree, files. It is then kept.

    NAME may also be the folder of a worktree whose registration was lost, or a stream whose worktree is gone: its
    uncommitted work comes back, too, from the newest snapshot (`refs/loki/safe/<stream>`).
    """
    if (name is None) == (not listing) or (as_json and not listing):
        raise BadInputError("say what to restore, or --list", "see `loki-hooks restore --help`")
    context = Context(require_enabled())
    if name is None:
        _list(to_restore(context), as_json)
        return
    folder = Path(name).absolute()
    lost = "/" in name and (folder / ".git").is_file()
    restored = reregister(context, folder) if lost else bring_back(context, name)
    say(
        f"{restored.record.name} is back in {restored.record.path}"
        + (f" on {restored.record.branch}" if restored.record.branch else "")
    )
    for note in restored.notes:
        say(note)


def _list(found: list[Trashed], as_json: bool) -> None:
    if as_json:
        answer_json([t.to_json() for t in found])
    elif found:
        rows = [
            (t.record.name, f"{t.record.stream}/{t.time}", t.record.branch, t.tip[:12], _also(t), "; ".join(t.reasons))
            for t in found
        ]
        table(("NAME", "STREAM/TIME", "BRANCH", "COMMIT", "ALSO", "REMOVED BECAUSE"), rows)
    else:
        say("there is nothing to restore")


def _also(entry: Trashed) -> str:
    return ", ".join(text for text, there in (("uncommitted work", entry.work), ("files", entry.files)) if there)
