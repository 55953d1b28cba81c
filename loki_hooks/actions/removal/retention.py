"""Let our own records expire: what could be undone, archives, gate results, done queue items, old logs.

Part of a pass, at most once a day. Never touched: anything that a stream which is not archived may need.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.domain.names import flat
from loki_hooks.domain.refs import BASE, GATES, PAST, SAFE, TRAIN, TRASH, WITHOUT
from loki_hooks.domain.removal.retention import LIMITS, Retained, age_of_stamp, due_for_long, expired
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import Status
from loki_hooks.system.clock import now, seconds_since
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.git.merges import merge_pairs
from loki_hooks.system.json import dump_json, read_json
from loki_hooks.system.processes.detach import boot_id
from loki_hooks.system.store import events
from loki_hooks.system.store.spawn_environment import forget, kept_streams
from loki_hooks.system.trees import remove_tree

EVERY = 86400.0
_LEDGER = "due.json"
_CRASH = r"crash-\d{8}T\d{12}Z"
"""What a fault of ours in the foreground leaves."""
_HASHED = re.compile(r"[0-9a-f]{8,64}")


def expire_when_due(context: Context) -> int:
    """Let expire what has, unless that was looked at within a day; return how much went.

    A day is over when the clock says so and the machine, unless it was started anew, ran for so long: clocks jump.
    """
    last = context.site.private / "expired"
    time_then, boot, ran = [*(read_plain(last) or b"").decode("ascii", "replace").split(), "", "", ""][:3]
    since = seconds_since(time_then)
    here = (boot_id(), f"{time.monotonic():.0f}")
    same_run = boot == here[0] != "-" and ran.isdigit() and int(ran) <= int(here[1])
    young = since is not None and 0 <= since < EVERY
    if young or (same_run and int(here[1]) - int(ran) < EVERY):
        return 0
    write_atomic(last, " ".join((now(), *here)) + "\n")
    return expire(context)


class _Due:
    """What was due at the looks before, in a row (``.git/loki/due.json``): kind → name → how often."""

    def __init__(self, context: Context) -> None:
        self._file = context.site.private / _LEDGER
        value = read_json(self._file)
        self._before: dict[str, object] = value if isinstance(value, dict) else {}
        self._now: dict[str, dict[str, int]] = {}

    def long(self, kind: str, due: Iterable[str]) -> tuple[str, ...]:
        """Return which of what is due now goes, and count the others."""
        before = self._before.get(kind)
        counts = {k: v for k, v in before.items() if isinstance(v, int)} if isinstance(before, dict) else {}
        gone, self._now[kind] = due_for_long(due, counts)
        return gone

    def save(self) -> None:
        left = {kind: counts for kind, counts in self._now.items() if counts}
        if left or self._before:
            write_atomic(self._file, dump_json(left))


def expire(context: Context) -> int:
    """Let expire what has been due for long enough; return how much went."""
    days = context.config.working.cleanup.retention_days
    state = context.store.read()
    due = _Due(context)
    live = {r.stream for r in state.streams.values() if r.status is not Status.ARCHIVED}
    gone = _trash(context, due, days) + _folders(context, due, days) + _gates(context, due, days, state)
    gone += _files(context, due, days, _logs(context, state, live))
    gone += _bases(context, due, days, live) + _snapshots(context, state) + _records(context, due, days)
    due.save()
    for stream in set(kept_streams(context.site)) - {flat(stream) for stream in live}:
        forget(context.site, stream)
    if gone:
        events.record(context.site, "expired", detail=f"{gone} records older than {days} days or over the limits")
    return gone


def _trash(context: Context, due: _Due, days: int) -> int:
    when = datetime.now(UTC)
    entries = [Retained(ref, age_of_stamp(ref, when)) for ref in context.git.refs(TRASH, PAST)]
    return _delete_refs(context, due.long("trash", expired(entries, days=days, most=LIMITS["trash"])))


def _folders(context: Context, due: _Due, days: int) -> int:
    """Folders of ours: an archive has a record in it, and each name ends with our stamp. Others' are not looked at."""
    when = datetime.now(UTC)
    gone = 0
    for kind in ("archive", "trash"):
        root = context.site.loki / kind
        if root.is_symlink() or not root.is_dir():
            continue
        folders = [p for p in root.iterdir() if p.is_dir() and not p.is_symlink()]
        ours = [p.name for p in folders if kind == "trash" or (p / "record.json").is_file()]
        entries = [Retained(name, age) for name in ours if (age := age_of_stamp(name, when)) is not None]
        for name in due.long(f"{kind}-folders", expired(entries, days=days, most=LIMITS[kind])):
            remove_tree(root / name)
            gone += 1
    return gone


def _gates(context: Context, due: _Due, days: int, state: State) -> int:
    """Gate results age by when their blob's ref was written; those of trees that may still land are needed."""
    git = context.git
    refs = git.refs(GATES)
    if not refs:
        return 0
    trees = _needed_trees(context, state)
    ages = {ref: _days_old(context.site.common / "logs" / ref) for ref in refs}
    needed = frozenset(ref for ref in refs if ref.removeprefix(GATES).partition("/")[0] in trees)
    entries = [Retained(ref, age) for ref, age in ages.items()]
    gone = due.long("gates", expired(entries, days=days, most=LIMITS["gates"], needed=needed))
    return _delete_refs(context, gone)


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


def _files(context: Context, due: _Due, days: int, logs: list[Path]) -> int:
    loki = context.site.loki
    queues = [p for queue in ("spawn", "docs", "blog") for p in _plain(loki / "queue" / queue / "done", "[!.]*.json")]
    done = [path for path in queues if _HASHED.fullmatch(path.stem)]
    corrupt = _plain(loki / "state", "orchestrator.json.corrupt-*")
    gone = 0
    for kind, paths in (("done", done), ("logs", logs), ("corrupt", corrupt)):
        entries = [Retained(path.relative_to(loki).as_posix(), _days_old(path)) for path in paths]
        most = LIMITS[kind if kind in LIMITS else "logs"]
        for name in due.long(kind, expired(entries, days=days, most=most)):
            with suppress(OSError):
                (loki / name).unlink()
                gone += 1
    return gone


def _logs(context: Context, state: State, live: set[str]) -> list[Path]:
    """Return the logs that we wrote, by names that only we give: others log into the same folder. Those of streams stay."""
    config = context.config
    gates = {gate for c in (config.in_force, config.working) for gate in c.gates}
    places = {gate.worktree for c in (config.in_force, config.working) for gate in c.gates.values()}
    streams = {flat(stream) for stream in set(state.streams) - live}
    of_refs = [ref.split("/")[3] for ref in context.git.refs(TRASH, PAST, BASE)]
    streams |= {flat(stream) for stream in of_refs if stream not in live}
    names = [re.escape(f"session-{stream}") for stream in streams]
    names += [re.escape(f"{what}-{stream}") for stream in streams for what in ("setup", "commit")]
    names += [re.escape(name) + r"(-\d+)?" for name in (*(f"gate-{g}" for g in gates), *(f"setup-{p}" for p in places))]
    ours = re.compile(f"(?:{'|'.join([*names, _CRASH])})\\.log")
    return [p for p in _plain(context.site.loki / "logs", "*.log") if ours.fullmatch(p.name)]


def _plain(folder: Path, pattern: str) -> list[Path]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    return [p for p in folder.glob(pattern) if p.is_file() and not p.is_symlink()]


def _bases(context: Context, due: _Due, days: int, live: set[str]) -> int:
    """The base of a stream that is no more, and that has no branch or worktree left that could be adopted."""
    entries = [Retained(ref, _days_old(context.site.common / "logs" / ref)) for ref in context.git.refs(BASE)]
    needed = frozenset(f"{BASE}{stream}" for stream in live)
    return _delete_refs(context, due.long("bases", expired(entries, days=days, most=LIMITS["trash"], needed=needed)))


def _snapshots(context: Context, state: State) -> int:
    """The safe snapshots of streams that are archived: what was in them is in the trash. Those of others are needed."""
    archived = {r.stream for r in state.streams.values() if r.status is Status.ARCHIVED}
    return _delete_refs(context, (ref for ref in context.git.refs(SAFE) if ref.removeprefix(SAFE) in archived))


def _records(context: Context, due: _Due, days: int) -> int:
    """Archived streams leave the state; the events still tell of them."""
    archived = {k: r for k, r in context.store.read().streams.items() if r.status is Status.ARCHIVED}
    old = [k for k, r in archived.items() if days > 0 and (seconds_since(r.ended_at) or 0) > days * 86400]
    gone = due.long("streams", old)

    def without(state: State) -> State:
        for key in gone:
            if key in state.streams and state.streams[key] == archived[key]:
                state = state.without(key)
        return state

    if gone:
        context.store.update(without)
    return len(gone)


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
