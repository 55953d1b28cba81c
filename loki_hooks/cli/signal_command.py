"""`loki-hooks signal`: emit, list, clear and wait for the files in the site's ``.loki/signals/``.

A signal is a notification, never the proof; whatever is emitted here, a stream lands only by its gate results.
"""

from __future__ import annotations

from typing import Any

import click

from loki_hooks.actions.requests import signal as requests
from loki_hooks.cli.console import answer, answer_json, say, table
from loki_hooks.domain.streams.signals import require_signal
from loki_hooks.system.site import require_enabled
from loki_hooks.system.store import signals


@click.group("signal")
def signal() -> None:
    """Emit, list, clear or wait for signals.

    NAME is the name of a signal file, such as FEATURE_READY_auth, TESTS_PASSED or DOCS_NEEDED. In a linked worktree
    too, all of these act on the signals of the whole repository.
    """


@signal.command("emit")
@click.argument("name")
@click.option("--about", metavar="TEXT", help="With BLOG_POST_QUEUED: what is to be told that git cannot see.")
def emit(name: str, about: str | None) -> None:
    """Write the signal NAME and let a pass look at it, in the background.

    BLOG_POST_QUEUED with --about "1,000 users" queues a blog post about that.
    """
    wanted = require_signal(name)
    say(f"wrote {requests.emit(require_enabled(), wanted, about)}")


@signal.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print [{signal, kind, subject, stream, branch, commit, ...}].")
def list_signals(as_json: bool) -> None:
    """List the signals that are there."""
    found = signals.listed(require_enabled().loki / "signals")
    if as_json:
        answer_json([{**s.body, "signal": s.name.file, "kind": s.name.kind, "subject": s.name.subject} for s in found])
    elif found:
        table(
            ("signal", "stream", "commit", "since"),
            [
                (s.name.file, _text(s.body, "stream"), _text(s.body, "commit")[:12], _text(s.body, "timestamp")[:19])
                for s in found
            ],
        )
    else:
        say("there are no signals")


@signal.command("clear")
@click.argument("name")
def clear(name: str) -> int:
    """Remove the signal NAME. Exit 1 when it was not there."""
    wanted = require_signal(name)
    if signals.clear(require_enabled(), wanted):
        say(f"removed {wanted.file}")
        return 0
    say(f"{wanted.file} was not there")
    return 1


@signal.command("wait")
@click.argument("name")
@click.option("--timeout", type=click.FloatRange(min=0), default=None, help="Seconds to wait; default: for ever.")
@click.option("--json", "as_json", is_flag=True, help="Print what the signal says.")
def wait(name: str, timeout: float | None, as_json: bool) -> int:
    """Wait until the signal NAME is there; leave it there. Exit 1 when the time is up.

    A signal that a pass consumes (FEATURE_READY, MERGE_REQUESTED) may come and go between two looks: wait for
    what lasts, such as TESTS_PASSED_auth or TESTS_FAILED_auth.
    """
    wanted = require_signal(name)
    found = requests.wait_for(require_enabled(), wanted, timeout)
    if found is None:
        say(f"{wanted.file} did not come within {timeout:g} s")
        return 1
    answer_json(dict(found.body)) if as_json else answer(str(found.path))
    return 0


def _text(body: Any, key: str) -> str:
    value = body.get(key)
    return value if isinstance(value, str) else ""
