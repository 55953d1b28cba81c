"""Emit a signal, or wait for one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loki_hooks.actions.reconcile.run import reconcile
from loki_hooks.actions.requests.wake import wake
from loki_hooks.actions.streams.here import streams_here
from loki_hooks.actions.writing.queue_signals import SIGNALS
from loki_hooks.domain.names import DEFAULT_BRANCHES, flat, identify_branch, nearest, shown, stream_id
from loki_hooks.domain.reconcile.streams import why_not_ready
from loki_hooks.domain.streams.signals import SignalName
from loki_hooks.errors import BadInputError, RefusedError
from loki_hooks.system.clock import now
from loki_hooks.system.git.git import Git
from loki_hooks.system.site import Site
from loki_hooks.system.store import signals
from loki_hooks.system.store.queues import listed
from loki_hooks.system.store.state import StateStore

if TYPE_CHECKING:
    from loki_hooks.domain.streams.record import StreamRecord
    from loki_hooks.domain.streams.state import State

WAIT_FOR_PASS = 30.0
_FIRST_PAUSE, _LAST_PAUSE = 0.02, 0.5


def emit(site: Site, name: SignalName, about: str | None = None) -> Path:
    """Write the signal, start a pass in the background, and return the file. ``about``: what a blog post shall tell.

    Raises ``RefusedError`` for a signal that only a pass writes, or that nothing would come of now, ``BadInputError`` for
    ``about`` with another signal.
    """
    if name.kind == "MERGE_REQUESTED":
        raise RefusedError(
            f"{name.file} is written only when a stream may land",
            "say that the work is finished: `loki-hooks signal emit FEATURE_READY_<name>`",
        )
    if about is not None and name.kind != "BLOG_POST_QUEUED":
        raise BadInputError("--about goes with BLOG_POST_QUEUED", f"leave it out for {name.file}")
    if about is None:
        _require_effect(site, name)
    path = signals.emit(site, name, _body(site, name) | (_queued(site, about) if about else {}))
    wake(site, "signal")
    return path


def _require_effect(site: Site, name: SignalName) -> None:
    """Raise ``RefusedError`` where nothing would come of the signal, with the reason: it would lie there, or just go."""
    if name.kind == "FEATURE_READY":
        _require_ready_for(site, name)
    queue = next((queue for queue, kind in SIGNALS.items() if kind == name.file), "")
    if queue and not listed(site, queue):
        how = ': `--about "…"` queues a post' if queue == "blog" else ", which landings bring"
        raise RefusedError(
            f"{name.file} would go at once: no {queue} item waits", f"the signal shows that there are items{how}"
        )


def _require_ready_for(site: Site, name: SignalName) -> None:
    state = StateStore(site).read()
    if _spoken_of(state, name) is None:
        reconcile(site, wait=WAIT_FOR_PASS)  # its worktree may be so new that no pass has seen it
        state = StateStore(site).read()
    record = _spoken_of(state, name)
    if record is None:
        near = nearest(name.subject, [r.name for r in state.streams.values() if not r.standing])
        meant = f"did you mean FEATURE_READY_{flat(near)}? " if near else ""
        raise RefusedError(
            f"{name.file} would have no effect: there is no stream {shown(name.subject)}",
            f"{meant}`loki-hooks status` lists the streams",
        )
    why = why_not_ready(record, Git(site.root).commit_id(f"refs/heads/{record.branch}") or "")
    if why:
        raise RefusedError(f"{name.file} would have no effect: {record.name} {why}", "`loki-hooks status` shows it")


def wait_for(site: Site, name: SignalName, timeout: float | None) -> signals.Signal | None:
    """Return the signal once it is there, or None after ``timeout`` seconds (None: wait for ever). It stays there."""
    folder = site.loki / "signals"
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = _FIRST_PAUSE
    while True:
        for found in signals.listed(folder):
            if found.name.file == name.file:
                return found
        left = pause if deadline is None else deadline - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, _LAST_PAUSE)


def _queued(site: Site, about: str) -> dict[str, Any]:
    """Queue the post at once, since the next word may overwrite the signal before a pass has seen it."""
    from loki_hooks.actions.context import Context
    from loki_hooks.actions.writing.blog import QUEUE, tell

    context = Context(site)
    tell(context, context.git.commit_id(context.integration_ref) or "", about, now())
    return {"about": about, "items": len(listed(site, QUEUE))}


def _body(site: Site, name: SignalName) -> dict[str, Any]:
    """Return what the signal says: of the stream that it names, if we know that one, else of the worktree we are in."""
    state = StateStore(site).read()
    record = _spoken_of(state, name) or next((r for r in streams_here(state, site) if r.branch), None)
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
