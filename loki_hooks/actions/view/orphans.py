"""What has lost its other half, each with the one command that resolves it. Looked up for `status`; changes nothing.

A folder that is not there may come back (moved, unplugged): what is said of it names both ways.

| what                         | command                                     |
|---|---|
| a session that ended badly   | `loki-hooks finish NAME`                    |
| a session without a worktree | `loki-hooks stop NAME`                      |
| a stream without a worktree  | `loki-hooks restore NAME`                   |
| a snapshot, no worktree      | `loki-hooks restore NAME`                   |
| a branch without either      | `loki-hooks spawn NAME --branch BRANCH …`   |
| a registration, no folder    | `git worktree remove PATH`, `repair`        |
| a folder, no registration    | `loki-hooks restore PATH`                   |
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loki_hooks.actions.context import Context
from loki_hooks.actions.safe.snapshot import Safe, lost
from loki_hooks.actions.streams.identity import identify
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import HAS_WORKTREE, Status
from loki_hooks.system.files import entries, exists, is_file, read_plain
from loki_hooks.system.git.git import WorktreeEntry
from loki_hooks.system.processes.alive import is_alive
from loki_hooks.system.worktrees.registrations import is_here, moved_to, registration_of, why_not_forget

_WAITING = frozenset({Status.FAILED, Status.STOPPED, Status.ESCALATED})
MAX_FOLDERS = 2000
LONE_BRANCH = "a branch without worktree and without stream"


@dataclass(frozen=True)
class Orphan:
    """``what`` is lost of it, as a sentence; ``command`` resolves it."""

    what: str
    about: str
    command: str

    def __str__(self) -> str:
        return f"{self.about}: {self.what}: `{self.command}`"

    def to_json(self) -> dict[str, Any]:
        return {"what": self.what, "about": self.about, "command": self.command}


def orphans(
    context: Context, records: Sequence[StreamRecord], heads: Mapping[str, str], worktrees: Sequence[WorktreeEntry]
) -> tuple[Orphan, ...]:
    """Return every orphan. ``records``: the streams that are not standing nor archived; ``heads``: all branches."""
    gone = lost(context, context.store.read())
    return (
        *_lost(records, gone),
        *_streams(context, [r for r in records if r.stream not in {safe.stream for safe in gone}], heads),
        *_branches(context, records, heads, worktrees),
        *_registrations(context, records, worktrees),
        *_folders(context, worktrees),
    )


def _lost(records: Sequence[StreamRecord], gone: Sequence[Safe]) -> Iterator[Orphan]:
    names = {r.stream: r.name for r in records}
    for safe in gone:
        command = f"loki-hooks restore {shlex.quote(names.get(safe.stream, safe.stream))}"
        yield Orphan(f"its worktree is gone; a snapshot of {safe.time[:19]}Z has what was in it", safe.stream, command)


def _streams(context: Context, records: Sequence[StreamRecord], heads: Mapping[str, str]) -> Iterator[Orphan]:
    for record in records:
        here = bool(record.path) and is_here(context.site, Path(record.path))
        alive = is_alive(record.session) or is_alive(record.claim)
        name = shlex.quote(record.name)
        if alive and not here:
            yield Orphan("a session whose worktree is gone", record.stream, f"loki-hooks stop {name}")
        elif alive:
            continue
        elif here and record.status in _WAITING:
            yield Orphan(f"a worktree without a session ({record.status})", record.stream, f"loki-hooks finish {name}")
        elif not here and record.status in HAS_WORKTREE and f"refs/heads/{record.branch}" in heads:
            yield _without_worktree(context, record)


def _without_worktree(context: Context, record: StreamRecord) -> Orphan:
    name = shlex.quote(record.name)
    path = Path(record.path)
    admin = registration_of(context.site, path) if record.path else None
    if admin is not None and moved_to(admin, path) is not None:
        return Orphan("a stream whose worktree was moved", record.stream, "loki-hooks doctor --fix")
    if admin is not None and (record.status is Status.MERGED or why_not_forget(admin, path)):
        lost = f"loki-hooks finish {name} --abandon"
        return Orphan("a stream whose worktree is away: bring it back or, deleted for good", record.stream, lost)
    if admin is None and os.path.lexists(path / ".git") and record.path:
        command = f"loki-hooks restore {shlex.quote(record.path)}"
        return Orphan("a stream whose worktree git does not know any more", record.stream, command)
    what = "a stream whose worktree is gone, or away: bring it back, or get another one"
    return Orphan(what, record.stream, f"loki-hooks restore {name}")


def _branches(
    context: Context, records: Sequence[StreamRecord], heads: Mapping[str, str], worktrees: Sequence[WorktreeEntry]
) -> Iterator[Orphan]:
    known = {r.branch for r in records} | {w.branch for w in worktrees}
    for ref in sorted(heads):
        branch = ref.removeprefix("refs/heads/")
        identity = None if branch in known else identify(context, branch)
        if identity is None or identity.kind == "testing":
            continue
        kind = "" if identity.kind == "feature" else f" --kind {identity.kind}"
        command = f"loki-hooks spawn {shlex.quote(identity.name)} --branch {shlex.quote(branch)}{kind} --no-launch"
        yield Orphan(LONE_BRANCH, branch, command)


def _registrations(
    context: Context, records: Sequence[StreamRecord], worktrees: Sequence[WorktreeEntry]
) -> Iterator[Orphan]:
    ours = {r.path for r in records}
    for entry in worktrees:
        if entry.bare or exists(entry.path) or str(entry.path) in ours:
            continue
        path = shlex.quote(str(entry.path))
        admin = registration_of(context.site, entry.path)
        if admin is not None and moved_to(admin, entry.path) is not None:
            yield Orphan("a registered worktree that was moved", str(entry.path), "loki-hooks doctor --fix")
        elif entry.locked is not None:
            yield Orphan(
                "a registered worktree, locked, whose folder is gone", str(entry.path), f"git worktree unlock {path}"
            )
        elif admin is None or not why_not_forget(admin, entry.path):
            what = "a registered worktree whose folder is gone, or away: bring it back or, deleted for good"
            yield Orphan(what, str(entry.path), f"git worktree remove {path}")
        else:
            what = f"a registered worktree whose folder is gone, or away, and {why_not_forget(admin, entry.path)}: look first"
            yield Orphan(what, str(entry.path), "loki-hooks doctor")


def _folders(context: Context, worktrees: Sequence[WorktreeEntry]) -> Iterator[Orphan]:
    """Folders beside the worktrees that git knows whose ``.git`` file points into this repository, unknown to it."""
    known = {entry.path for entry in worktrees}
    registrations = context.site.common / "worktrees"
    values = context.values(kind="feature", name="x", stream="feature-x")
    for parent in sorted({path.parent for path in known} | {context.path_for(values).parent}):
        for entry in entries(parent)[:MAX_FOLDERS]:
            folder = parent / entry.name
            dot = folder / ".git"
            if folder in known or not entry.is_dir(follow_symlinks=False) or not is_file(dot):
                continue
            text = (read_plain(dot) or b"").decode("utf-8", "surrogateescape").removeprefix("gitdir: ").strip()
            if text and Path(text).parent == registrations:
                yield Orphan(
                    "a worktree's folder that git does not know",
                    str(folder),
                    f"loki-hooks restore {shlex.quote(str(folder))}",
                )
