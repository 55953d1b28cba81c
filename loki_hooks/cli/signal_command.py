"""`loki-hooks signal`: emit, list, clear and wait for the files in the site's ``.loki/signals/``.

A signal is a notification, never the proof; whatever is emitted here, a stream lands only by its gate results.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from loki_hooks.cli.console import answer, answer_json, say, table
from loki_hooks.domain.names import DEFAULT_BRANCHES, identify_branch, stream_id
from loki_hooks.domain.streams.signals import SignalName, require_signal
from loki_hooks.errors import BadInputError, RefusedError
from loki_hooks.system.clock import now
from loki_hooks.system.git.git import Git
from loki_hooks.system.processes.run import scrubbed
from loki_hooks.system.processes.start import start_detached, worker_argv
from loki_hooks.system.site import Site, require_enabled
from loki_hooks.system.store import signals
from loki_hooks.system.store.state import StateStore

if TYPE_CHECKING:
    from loki_hooks.domain.streams.record import StreamRecord
    from loki_hooks.domain.streams.state import State

_FIRST_PAUSE, _LAST_PAUSE = 0.02, 0.5


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
    site = require_enabled()
    if wanted.kind == "MERGE_REQUESTED":
        raise RefusedError(
            f"{wanted.file} is written only when a stream may land",
            "say that the work is finished: `loki-hooks signal emit FEATURE_READY_<name>`",
        )
    if about is not None and wanted.kind != "BLOG_POST_QUEUED":
        raise BadInputError("--about goes with BLOG_POST_QUEUED", f"leave it out for {wanted.file}")
    path = signals.emit(site, wanted, _body(site, wanted) | (_queued(site, about) if about else {}))
    argv = worker_argv("worker", "reconcile", "signal", "native", str(site.here))
    start_detached(argv, cwd=site.root, env=scrubbed())
    say(f"wrote {path}")


def _queued(site: Site, about: str) -> dict[str, Any]:
    """Queue the post at once, since the next word may overwrite the signal before a pass has seen it."""
    from loki_hooks.actions.context import Context
    from loki_hooks.actions.writing.blog import QUEUE, tell
    from loki_hooks.system.store.queues import listed

    context = Context(site)
    tell(context, context.git.commit_id(context.integration_ref) or "", about, now())
    return {"about": about, "items": len(listed(site, QUEUE))}


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
    folder = require_enabled().loki / "signals"
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = _FIRST_PAUSE
    while True:
        for found in signals.listed(folder):
            if found.name.file == wanted.file:
                answer_json(dict(found.body)) if as_json else answer(str(found.path))
                return 0
        left = pause if deadline is None else deadline - time.monotonic()
        if left <= 0:
            say(f"{wanted.file} did not come within {timeout:g} s")
            return 1
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, _LAST_PAUSE)


def _body(site: Site, name: SignalName) -> dict[str, Any]:
    """Return what the signal says: of the stream that it names, if we know that one, else of the worktree we are in."""
    state = StateStore(site).read()
    record = _spoken_of(state, name) or _at_home(state, site)
    if record is not None:
        git, revision = Git(site.root), f"refs/heads/{record.branch}"
        branch, worktree, stream = record.branch, record.path, record.stream
    else:
        git, revision = Git(site.here), "HEAD"
        branch = git.maybe("symbolic-ref", "--quiet", "--short", "HEAD") or ""
        identity = identify_branch(branch, DEFAULT_BRANCHES, {})
        worktree, stream = str(site.here), identity.stream if identity else ""
    commit = git.commit_id(revision) or ""
    tree = git.tree_id(commit) if commit else ""
    return {"stream": stream, "branch": branch, "worktree": worktree, "commit": commit, "tree": tree}


def _spoken_of(state: State, name: SignalName) -> StreamRecord | None:
    if not name.subject:
        return None
    return state.find(name.subject) or state.streams.get(stream_id("feature", name.subject))  # `a-b` may mean a/b


def _at_home(state: State, site: Site) -> StreamRecord | None:
    """Return the stream whose worktree we are in."""
    return next((r for r in state.streams.values() if r.path == str(site.here) and r.branch), None)


def _text(body: Any, key: str) -> str:
    value = body.get(key)
    return value if isinstance(value, str) else ""
