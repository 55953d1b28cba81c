"""`loki-hooks test`: run the gates on streams and show the results."""

from __future__ import annotations

import sys
import threading

import click

from loki_hooks.actions.context import Context
from loki_hooks.actions.gates.run import on_signals
from loki_hooks.actions.landing import upstream
from loki_hooks.actions.reconcile.run import reconcile
from loki_hooks.actions.requests.test import GateSubject, Tested, all_passed, run_tests, subjects
from loki_hooks.cli.console import answer, answer_json, say
from loki_hooks.cli.logs_command import for_terminal
from loki_hooks.domain.config import Gate
from loki_hooks.domain.gates.results import Outcome, command_text
from loki_hooks.errors import BadInputError, InterruptedRunError
from loki_hooks.system.site import require_enabled


@click.command("test")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Every living stream that has work.")
@click.option("--again", is_flag=True, help="Run also what has a result.")
@click.option("--json", "as_json", is_flag=True, help="Print [{stream, gate, tree, outcome, cached, seconds}].")
def test(names: tuple[str, ...], everything: bool, again: bool, as_json: bool) -> None:
    """Run the gates on each NAME: a stream as it would land, or any branch; without one, on the integration branch.

    A tree that has a result is not tested again. Exits 1 unless all passed.
    """
    if names and everything:
        raise BadInputError("--all takes no names", "leave one of them out")
    site = require_enabled()
    context = Context(site)
    stop = threading.Event()
    on_signals(stop)
    upstream.catch_up(context, say)
    wanted = subjects(context, names, everything=everything)
    results: list[Tested] = []
    try:
        for tested in run_tests(context, wanted, again=again, begin=_begin, echo=_echo, stop=stop):
            results.append(tested)
            if not as_json:
                _show(tested)
    except InterruptedRunError:
        say("stopped; what was interrupted has no result")
        sys.exit(130)
    if as_json:
        answer_json([r.to_json() for r in results])
    reconcile(site, wait=5)
    if not all_passed(results):
        sys.exit(1)


def _begin(subject: GateSubject, gate: Gate) -> None:
    say(f"{gate.name} on {subject.name}: {command_text(gate.command)}")


def _echo(text: str) -> None:
    sys.stderr.write(for_terminal(text) if sys.stderr.isatty() else text)
    sys.stderr.flush()


def _show(tested: Tested) -> None:
    result = tested.result
    known = "known" if tested.cached else f"{result.seconds:.1f} s"
    why = f": {result.reason}" if result.reason else ""
    answer(f"{tested.subject}: {tested.gate} {result.outcome} ({known}){why}")
    if tested.cached and result.outcome is not Outcome.PASSED and result.tail:
        answer(result.tail)
