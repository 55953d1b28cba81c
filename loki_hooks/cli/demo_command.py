"""`loki-hooks demo`: watch the whole journey in a scratch repository."""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import click

from loki_hooks.actions.requests.demo import PROJECT, DemoCheck, Mark, run_demo
from loki_hooks.cli.console import answer, say
from loki_hooks.system.processes.scratch import end_processes_in, make_scratch, remove_scratch, sealed_environment

ENDING = (signal.SIGTERM, signal.SIGHUP)


@click.command("demo")
@click.option("--keep", is_flag=True, help="Leave the scratch repository there to look at.")
def demo(keep: bool) -> None:
    """Watch the whole journey in a scratch repository: install, spawn, test, land, reject, push, clean up.

    A script plays the agent; everything else is real. It takes some seconds, needs no account and no network, and
    leaves nothing behind. Exits 1 if anything did not turn out as it should.
    """
    began = time.monotonic()
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup(1)
            signal.signal(number, _leave)
    folder = make_scratch("loki-hooks-demo-")
    try:
        with sealed_environment(folder):
            checks = run_demo(folder, _tell)
    finally:
        with _undisturbed():
            _put_away(folder, keep=keep)
    kept = _show(checks)
    answer(f"\n{'That was all of it' if kept else 'NOT as it should be'}, in {time.monotonic() - began:.0f} s.")
    if keep:
        _show_where(folder / PROJECT)
    elif kept:
        answer("Nothing of it is left. Next, in a repository of yours: loki-hooks install")
    if not kept:
        sys.exit(1)


def _tell(mark: Mark, text: str) -> None:
    match mark:
        case Mark.HEADING:
            answer(f"\n{text}\n")
        case Mark.COMMAND:
            answer(f"  $ {text}")
        case Mark.OUTPUT:
            answer(f"  | {text}")
        case Mark.TEXT:
            answer(f"  {text}")
    sys.stdout.flush()


def _show(checks: tuple[DemoCheck, ...]) -> bool:
    """Print each promise with what came of it; return whether all were kept."""
    answer("\nWas it as promised?\n")
    for check in checks:
        answer(f"  {'yes' if check.kept else 'NO '}  {check.what}")
        if not check.kept and check.detail:
            answer(f"       {check.detail}")
    return all(check.kept for check in checks)


def _show_where(project: Path) -> None:
    answer(
        f"\nIt is kept. To look around:\n\n  cd {shlex.quote(str(project))}\n  loki-hooks status\n"
        "  loki-hooks queue list docs\n  cat .loki/state/events.jsonl\n"
        "  loki-hooks trust             (before you spawn there yourself)\n\n"
        f"To be rid of it: rm -rf {shlex.quote(str(project.parent))}"
    )


def _put_away(folder: Path, *, keep: bool) -> None:
    end_processes_in(folder)
    if keep:
        say(f"kept: {folder}")
    else:
        remove_scratch(folder)


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  the signature of a handler
    """End as the signal asks, but by way of every ``finally``."""
    sys.exit(128 + number)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """While the scratch folder is put away, which takes a moment, no second Ctrl-C leaves half of it there."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, *ENDING)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
