"""Live evidence of each session: its processes, their CPU, the last change, commit and line, each with its age."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.domain.sessions.ending import plain_line
from loki_hooks.domain.sessions.evidence import Evidence, Sign
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import IN_SESSION
from loki_hooks.system.git.git import Git, split_z
from loki_hooks.system.processes import session_log
from loki_hooks.system.processes.alive import is_alive
from loki_hooks.system.processes.session_tree import SessionTree, footprint, measured

INTERVAL = 0.2
"""Seconds over which CPU is measured, for all sessions together."""
_FILES = 500


def gather_evidence(context: Context, records: Sequence[StreamRecord]) -> dict[str, Evidence]:
    """Return the evidence of each stream that is in a session. Takes ``INTERVAL`` when there is one, else no time."""
    busy = [r for r in records if r.status in IN_SESSION and r.session is not None]
    alive = [r for r in busy if is_alive(r.session)]
    found = measured([SessionTree(r.session, r.agent_process) for r in alive if r.session], INTERVAL if alive else 0)
    load = {r.stream: seen for r, seen in zip(alive, found, strict=True)}
    return {r.stream: seen for r in busy if (seen := _of_or_none(context, r, load.get(r.stream))) is not None}


def footprints(records: Sequence[StreamRecord]) -> tuple[int, ...]:
    """Return the memory of each session that runs, in bytes, its whole tree of processes."""
    return tuple(
        footprint(SessionTree(r.session, r.agent_process))
        for r in records
        if r.session is not None and is_alive(r.session)
    )


def _of_or_none(context: Context, record: StreamRecord, load: tuple[int, float, int] | None) -> Evidence | None:
    try:
        return _of(context, record, load)
    except OSError:  # a path that is too long, a folder that went: nothing is seen of it, of the others it is
        return None


def _of(context: Context, record: StreamRecord, load: tuple[int, float, int] | None) -> Evidence:
    path = Path(record.path)
    commit: Sign | None = None
    change: Sign | None = None
    if (path / ".git").exists():
        git = Git(path)
        commit = _last_commit(git, record)
        change = _last_change(git, path, commit is not None)
    processes, cpu, memory = load or (0, None, None)
    return Evidence(load is not None, processes, cpu, memory, change, commit, _last_line(context, record))


def _last_commit(git: Git, record: StreamRecord) -> Sign | None:
    """Return the last commit of the stream's own, None when it has none."""
    shown = git.maybe("log", "-1", "--format=%ct %h %s", f"{record.base}..HEAD") if record.base else ""
    when, _, what = (shown or "").partition(" ")
    return _sign(what, float(when)) if when.isdigit() else None


def _last_change(git: Git, path: Path, committed: bool) -> Sign | None:
    """Return the file that was changed last, of those that differ from the base's or wait to be committed."""
    listed = git.maybe("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=normal") or ""
    names = [entry[3:] for entry in split_z(listed)]
    if committed:
        names += split_z(git.maybe("diff-tree", "--no-commit-id", "--name-only", "-r", "-z", "HEAD") or "")
    newest: tuple[float, str] | None = None
    for name in names[:_FILES]:
        try:
            seen = os.lstat(path / name)
        except OSError:  # removed
            continue
        newest = max(newest or (0.0, ""), (seen.st_mtime, name))
    return _sign(newest[1], newest[0]) if newest is not None else None


def _last_line(context: Context, record: StreamRecord) -> Sign | None:
    path = context.site.loki / "logs" / f"session-{record.stream}.log"
    lines = [text for line in session_log.tail(path, 4096).splitlines() if (text := plain_line(line))]
    try:
        seen = path.lstat()
    except OSError:
        return None
    return _sign(lines[-1][:200], seen.st_mtime) if lines and stat.S_ISREG(seen.st_mode) else None


def _sign(what: str, when: float) -> Sign:
    at = datetime.fromtimestamp(when, UTC)
    return Sign(what, at.strftime("%Y-%m-%dT%H:%M:%SZ"), max(0.0, (datetime.now(UTC) - at).total_seconds()))
