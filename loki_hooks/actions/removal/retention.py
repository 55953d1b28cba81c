"""Let our own records expire: what could be undone, archives, gate results, done queue items, old logs.

Part of a pass, at most once a day. Never touched: anything that a stream which is not archived may need.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.domain.names import flat
from loki_hooks.domain.refs import BASE, GATES, PAST, SAFE, TRAIN, TRASH, WITHOUT
from loki_hooks.domain.removal.retention import LIMITS, Retained, age_of_stamp, expired
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import Status
from loki_hooks.system.clock import now, seconds_since
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.git.merges import merge_pairs
from loki_hooks.system.store import events
from loki_hooks.system.store.spawn_environment import forget, kept_streams
from loki_hooks.system.trees import remove_tree

EVERY = 86400.0


def expire_when_due(context: Context) -> int:
    """Let expire what has, unless that was done within a day; return how much went."""
    last = context.site.private / "expired"
    since = seconds_since((read_plain(last) or b"").decode("ascii", "replace").strip())
    if since is not None and 0 <= since < EVERY:
        return 0
    write_atomic(last, now())
    return expire(context)


def expire(context: Context) -> int:
    """Let expire what has; return how much went."""
    days = context.config.working.cleanup.retention_days
    state = context.store.read()
    live = {r.stream for r in state.streams.values() if r.status is not Status.ARCHIVED}
    gone = _trash(context, days) + _folders(context, days) + _gates(context, days, state) + _files(context, days, live)
    gone += _bases(context, days, live) + _snapshots(context, state) + _records(context, days)
    for stream in set(kept_streams(context.site)) - {flat(stream) for stream in live}:
        forget(context.site, stream)
    if gone:
        events.record(context.site, "expired", detail=f"{gone} records older than {days} days or over the limits")
    return gone


def _trash(context: Context, days: int) -> int:
    when = datetime.now(UTC)
    entries = [Retained(ref, age_of_stamp(ref, when)) for ref in context.git.refs(TRASH, PAST)]
    return _delete_refs(context, expired(entries, days=days, most=LIMITS["trash"]))


def _folders(context: Context, days: int) -> int:
    when = datetime.now(UTC)
    gone = 0
    for kind in ("archive", "trash"):
        root = context.site.loki / kind
        if root.is_symlink() or not root.is_dir():
            continue
        folders = [p.name for p in root.iterdir() if p.is_dir() and not p.is_symlink()]
        entries = [Retained(name, age_of_stamp(name, when)) for name in folders]
        for name in expired(entries, days=days, most=LIMITS[kind]):
            remove_tree(root / name)
            gone += 1
    return gone


def _gates(context: Context, days: int, state: State) -> int:
    """Gate results age by when their blob's ref was written; those of trees that may still land are needed."""
    git = context.git
    refs = git.refs(GATES)
    if not refs:
        return 0
    trees = _needed_trees(context, state)
    ages = {ref: _days_old(context.site.common / "logs" / ref) for ref in refs}
    needed = frozenset(ref for ref in refs if ref.removeprefix(GATES).partition("/")[0] in trees)
    entries = [Retained(ref, age) for ref, age in ages.items()]
    return _delete_refs(context, expired(entries, days=days, most=LIMITS["gates"], needed=needed))


def _needed_trees(context: Context, state: State) -> frozenset[str]:
    """Return the trees of the integration branch, of the train, and of every stream's tip, alone and merged."""
    git = context.git
    tip = git.commit_id(context.integration_ref)
    tips = [t for r in state.streams.values() if r.branch and (t := git.commit_id(f"refs/heads/{r.branch}"))]
    commits = [c for c in (tip, *tips) if c]
    for train in git.refs(TRAIN, WITHOUT).values() if tip else ():
        commits += git.out("rev-list", "--first-parent", "--max-count=100", train, f"^{tip}").split()
    trees = {git.tree_id(commit) for commit in commits}
    if tip:
        trees |= {merged.tree for merged in merge_pairs(git, [(tip, t) for t in tips]) if merged.tree}
    return frozenset(trees)


def _files(context: Context, days: int, live: set[str]) -> int:
    loki = context.site.loki
    done = [p for queue in ("spawn", "docs", "blog") for p in _plain(loki / "queue" / queue / "done", "[!.]*.json")]
    logs = [p for p in _plain(loki / "logs", "*.log") if not _is_of(p.name, live)]
    corrupt = _plain(loki / "state", "*.corrupt-*")
    gone = 0
    for paths, most in ((done, LIMITS["done"]), (logs, LIMITS["logs"]), (corrupt, LIMITS["logs"])):
        entries = [Retained(str(path), _days_old(path)) for path in paths]
        for name in expired(entries, days=days, most=most):
            with suppress(OSError):
                Path(name).unlink()
                gone += 1
    return gone


def _is_of(name: str, live: set[str]) -> bool:
    """Whether a log is a living stream's, or one that is always written to."""
    return name in {"hooks.log", "runner.log"} or any(
        name.startswith((f"session-{flat(stream)}.", f"setup-{flat(stream)}.")) for stream in live
    )


def _plain(folder: Path, pattern: str) -> list[Path]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    return [p for p in folder.glob(pattern) if p.is_file() and not p.is_symlink()]


def _bases(context: Context, days: int, live: set[str]) -> int:
    """The base of a stream that is no more, and that has no branch or worktree left that could be adopted."""
    entries = [Retained(ref, _days_old(context.site.common / "logs" / ref)) for ref in context.git.refs(BASE)]
    needed = frozenset(f"{BASE}{stream}" for stream in live)
    return _delete_refs(context, expired(entries, days=days, most=LIMITS["trash"], needed=needed))


def _snapshots(context: Context, state: State) -> int:
    """The safe snapshots of streams that are archived: what was in them is in the trash. Those of others are needed."""
    archived = {r.stream for r in state.streams.values() if r.status is Status.ARCHIVED}
    return _delete_refs(context, (ref for ref in context.git.refs(SAFE) if ref.removeprefix(SAFE) in archived))


def _records(context: Context, days: int) -> int:
    """Archived streams leave the state; the events still tell of them."""

    def old(state: State) -> list[str]:
        return [
            key
            for key, r in state.streams.items()
            if r.status is Status.ARCHIVED and days > 0 and (seconds_since(r.ended_at) or 0) > days * 86400
        ]

    def without(state: State) -> State:
        for key in old(state):
            state = state.without(key)
        return state

    gone = len(old(context.store.read()))
    if gone:
        context.store.update(without)
    return gone


def _days_old(path: Path) -> float | None:
    try:
        return (time.time() - path.stat().st_mtime) / 86400
    except OSError:
        return None


def _delete_refs(context: Context, refs: Iterable[str]) -> int:
    """Delete refs of ours in one transaction; return how many."""
    names = list(refs)
    if not names:
        return 0
    lines = "".join(f"delete {ref}\n" for ref in names)
    return len(names) if context.git.run("update-ref", "--stdin", stdin=lines.encode()).returncode == 0 else 0
