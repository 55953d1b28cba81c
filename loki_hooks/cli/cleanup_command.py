"""`loki-hooks cleanup`: remove the worktrees of streams that are finished."""

from __future__ import annotations

import click

from loki_hooks.actions.requests.cleanup import clean_up, would_go
from loki_hooks.cli.console import answer_json, say, table
from loki_hooks.system.site import require_enabled


@click.command("cleanup")
@click.option("--dry-run", is_flag=True, help="Say what would be removed and kept, and why; remove nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print [{stream, action: remove|keep, reasons}].")
def cleanup(dry_run: bool, as_json: bool) -> None:
    """Remove each stream whose work is safe in the integration branch; say of every other why it stays.

    What goes is archived, and its tip is kept under refs/loki/trash/.
    """
    site = require_enabled()
    shown = would_go(site) if dry_run else clean_up(site)
    if as_json:
        answer_json(
            [
                {"stream": stream, "action": "remove" if removal.remove else "keep", "reasons": list(removal.reasons)}
                for stream, removal in shown
            ]
        )
    elif shown:
        table(
            ("STREAM", "ACTION", "BECAUSE"),
            [(stream, "remove" if r.remove else "keep", "; ".join(r.reasons)) for stream, r in shown],
        )
    else:
        say("there is nothing to clean up")
