"""`loki-hooks run`: do the next right things until nothing is left to do."""

from __future__ import annotations

import click

from loki_hooks.actions.context import Context
from loki_hooks.actions.install.standing import gate_warnings
from loki_hooks.actions.reconcile.run import Done, Report
from loki_hooks.actions.requests.watch import passes, something_moves
from loki_hooks.cli.console import answer_json, say
from loki_hooks.cli.plan_command import enter, grain_option
from loki_hooks.domain.reconcile.streams import Note
from loki_hooks.system.site import discover, require_enabled, require_own


@click.command("run")
@click.option(
    "--once", is_flag=True, help="Make one pass and return; gates and sessions that it starts go on by themselves."
)
@click.option("--plan", "source", default="", metavar="SOURCE", help="Enter the tasks of a plan first (see `plan`).")
@grain_option
@click.option("--json", "as_json", is_flag=True, help="Print {steps: [{step, stream, outcome, detail}], verdict}.")
def run(once: bool, source: str, grain: str, as_json: bool) -> None:
    """Do the next right things: start, test, land, clean up. Without --once, go on until nothing is left to do.

    It is not needed for that (hooks and the ends of sessions do the same); it shows what happens.
    """
    if source:
        enter(Context(require_own(discover())), source, grain)
    site = require_enabled()
    for warning in gate_warnings(Context(site)):
        say(warning)
    taken: list[Done] = []
    for report in passes(site, lambda _: something_moves(Context(site)), say=say):
        taken += report.steps
        if once:
            break
    if as_json:
        answer_json(_document(report, taken))
    elif not report.ran:
        say("nothing was done here: the pass that is under way looks again when it ends")
    else:
        say(f"{report.verdict.word}: {'; '.join(report.verdict.reasons)}")


def _document(report: Report, taken: list[Done]) -> dict[str, object]:
    return {
        "steps": [
            {
                "step": d.step.word,
                "stream": d.step.subject or None,
                "outcome": d.outcome.how.value,
                "detail": d.outcome.reason,
            }
            for d in taken
            if not isinstance(d.step, Note)
        ],
        "verdict": report.verdict.to_json(),
    }
