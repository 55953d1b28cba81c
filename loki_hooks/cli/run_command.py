"""`loki-hooks run`: do the next right things until nothing is left to do."""

from __future__ import annotations

import time
from pathlib import Path

import click

from loki_hooks.actions.context import Context
from loki_hooks.actions.reconcile.run import Done, Report, reconcile
from loki_hooks.actions.requests.watch import something_moves
from loki_hooks.actions.view.telling import Telling
from loki_hooks.cli.console import answer_json, say
from loki_hooks.domain.reconcile.streams import Note
from loki_hooks.system.site import Site, require_enabled

EVERY = 5.0
LOOK = 0.1


@click.command("run")
@click.option(
    "--once", is_flag=True, help="Make one pass and return; gates and sessions that it starts go on by themselves."
)
@click.option("--json", "as_json", is_flag=True, help="Print {steps: [{step, stream, outcome, detail}], verdict}.")
def run(once: bool, as_json: bool) -> None:
    """Do the next right things: start, test, land, clean up. Without --once, go on until nothing is left to do.

    It is not needed for that (hooks and the ends of sessions do the same); it shows what happens.
    """
    site = require_enabled()
    taken: list[Done] = []
    first = True
    still = 0
    telling = Telling(site, say)
    while True:
        before = _stamp(site)
        report = reconcile(site, wait=60, fetch=first, say=say)
        first = False
        taken += report.steps
        telling.go_on()
        still = 0 if something_moves(Context(site)) else still + 1
        if once or still == 2:  # looked at twice: what ended during a pass starts something in the next
            break
        if still:
            continue
        _wait_for_news(site, before)
    if as_json:
        answer_json(_document(report, taken))
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


def _wait_for_news(site: Site, before: tuple[object, ...]) -> None:
    """Wait until the state or the signals change, at most ``EVERY`` seconds."""
    deadline = time.monotonic() + EVERY
    while time.monotonic() < deadline and _stamp(site) == before:
        time.sleep(LOOK)


def _stamp(site: Site) -> tuple[object, ...]:
    return tuple(_mtime(site.loki / name) for name in ("state/orchestrator.json", "state/events.jsonl", "signals"))


def _mtime(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
