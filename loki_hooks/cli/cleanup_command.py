"""`loki-hooks cleanup`: remove the worktrees of streams that are finished."""

from __future__ import annotations

import click

from loki_hooks.actions.consent import require_person
from loki_hooks.actions.context import Context
from loki_hooks.actions.reconcile.run import reconcile
from loki_hooks.actions.removal.retire import clean_stream, judge_all
from loki_hooks.cli.console import answer_json, say, table
from loki_hooks.domain.asker import Deed
from loki_hooks.domain.reconcile.outcome import Went
from loki_hooks.domain.reconcile.removal import Clean
from loki_hooks.domain.removal.classify import Removal
from loki_hooks.errors import LokiError
from loki_hooks.system.locks import hold_pass
from loki_hooks.system.site import require_enabled


@click.command("cleanup")
@click.option("--dry-run", is_flag=True, help="Say what would be removed and kept, and why; remove nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print [{stream, action: remove|keep, reasons}].")
def cleanup(dry_run: bool, as_json: bool) -> None:
    """Remove each stream whose work is safe in the integration branch; say of every other why it stays.

    What goes is archived, and its tip is kept under refs/loki/trash/.
    """
    site = require_enabled()
    if not dry_run:
        require_person(site, Deed.CLEAN_UP)
    already: list[tuple[str, Removal]] = []
    if not dry_run:  # the pass takes what it may by itself
        already = [
            (d.step.stream, Removal(True, (d.outcome.reason,)))
            for d in reconcile(site, wait=30).steps
            if isinstance(d.step, Clean) and d.outcome.how is Went.DONE
        ]
    context = Context(site)
    verdicts = [(v.record, v.removal) for v in judge_all(context)]
    if not dry_run:
        done = []
        with hold_pass(site) as lock:
            for record, removal in verdicts:
                try:
                    done.append((record, clean_stream(context, lock, record) if removal.remove else removal))
                except LokiError as error:
                    done.append((record, Removal(False, (error.message,))))
        verdicts = done
    shown = already + [(record.stream, removal) for record, removal in verdicts]
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
