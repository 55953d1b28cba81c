"""Bring back what clean-up or `finish` took: branch, worktree, uncommitted work, archived and moved files.

What there is comes from ``refs/loki/trash/<stream>/<time>``, with the archive of the same name where it is still there
(`git clean -xdf` takes archives, never refs). A restored stream is ``kept``: clean-up does not take it again. A
stream of ours that only lost its worktree gets it back the same way, and keeps its status.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from loki_hooks.actions.cleanup import TRASH
from loki_hooks.actions.context import Context
from loki_hooks.actions.prepare import base_ref, copy_environment, furnish, untrusted_reason
from loki_hooks.actions.salvage import bring_back, trailers
from loki_hooks.domain.names import STANDARD_KINDS, flat, nearest, shown
from loki_hooks.domain.stages import PLAN_FILE
from loki_hooks.domain.status import IN_SESSION, LIVING, Status
from loki_hooks.domain.streams import StreamRecord
from loki_hooks.errors import BadInputError, LokiError, RefusedError
from loki_hooks.system import events
from loki_hooks.system.clock import now
from loki_hooks.system.files import read_json, read_plain, write_atomic
from loki_hooks.system.git import Git, list_worktrees
from loki_hooks.system.locks import PassLock, hold_pass
from loki_hooks.system.site import LOKI
from loki_hooks.system.worktrees import add, forget_missing


@dataclass(frozen=True)
class Trashed:
    """What can be brought back. ``work``: the commit of uncommitted work, '' for none; ``files``: a folder."""

    record: StreamRecord
    time: str
    ref: str
    tip: str
    work: str = ""
    index: str = ""
    files: str = ""
    archive: Path | None = None
    reasons: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        r = self.record
        return {
            "name": r.name,
            "stream": r.stream,
            "time": self.time,
            "branch": r.branch,
            "commit": self.tip,
            "path": r.path,
            "uncommitted": self.work or None,
            "files": self.files or None,
            "ref": self.ref,
            "archive": str(self.archive) if self.archive else None,
            "removed_because": list(self.reasons),
        }


@dataclass(frozen=True)
class Restored:
    """``notes`` say what could not be put back where it was."""

    record: StreamRecord
    notes: tuple[str, ...] = ()


def trashed(context: Context) -> list[Trashed]:
    """Return what can be brought back, the newest first."""
    found = []
    for ref, oid in context.git.refs(TRASH).items():
        stream, _, time = ref.removeprefix(TRASH).rpartition("/")
        if stream and time:
            found.append(_entry(context, ref, oid, stream, time))
    return sorted(found, key=lambda t: t.time, reverse=True)


def _entry(context: Context, ref: str, oid: str, stream: str, time: str) -> Trashed:
    archive = context.site.loki / "archive" / f"{flat(stream)}-{time}"
    value = read_json(archive / "record.json")
    facts: Mapping[str, Any] = value if isinstance(value, dict) else {}
    record = StreamRecord.from_json(stream, facts) if facts else None
    made = trailers(context.git, oid)
    tip = made.get("Tip") or oid
    if record is None or record.stream != stream:
        record = _guess(context, stream, made.get("Branch", ""), tip)
    reasons = facts.get("removed_because")
    folder = context.site.loki / "trash" / f"{flat(stream)}-{time}"
    return Trashed(
        record,
        time,
        ref,
        tip,
        work=oid if made else "",
        index=made.get("Index", ""),
        files=str(folder) if folder.is_dir() and not folder.is_symlink() else "",
        archive=archive if archive.is_dir() and not archive.is_symlink() else None,
        reasons=tuple(r for r in reasons if isinstance(r, str)) if isinstance(reasons, list) else (),
    )


def _guess(context: Context, stream: str, branch: str, tip: str) -> StreamRecord:
    """Return the record as far as it can be told without an archive: by the stream's id and the templates."""
    kind, dash, name = stream.partition("-")
    if not dash or kind not in {*STANDARD_KINDS, *context.config.working.branches}:
        kind, name = "feature", stream
    values = context.values(kind=kind, name=name, stream=stream)
    base = context.git.maybe("merge-base", tip, context.integration_ref) or tip
    return StreamRecord(
        kind,
        name,
        Status.KEPT,
        str(context.path_for(values)),
        branch or context.branch_for(kind, values, name),
        base=base,
        created_at=now(),
    )


def restore(context: Context, word: str) -> Restored:
    """Bring back the newest that ``word`` (a name, an id, a branch, or ``id/time``) means. Raises ``LokiError``."""
    with hold_pass(context.site) as lock:
        return _restore(context, lock, word)


def _restore(context: Context, lock: PassLock, word: str) -> Restored:
    living = context.store.read().find(word)
    if living is not None and living.status is not Status.ARCHIVED:
        return _give_worktree(context, lock, living)
    everything = trashed(context)
    wanted = [
        t
        for t in everything
        if word in {t.record.name, t.record.stream, t.record.branch, f"{t.record.stream}/{t.time}"}
    ]
    if not wanted:
        near = nearest(word, [t.record.name for t in everything])
        raise BadInputError(
            f"there is nothing to restore that is called {shown(word)}",
            f"did you mean {near}?" if near else "`loki-hooks restore --list` shows what there is",
        )
    return _bring_back(context, lock, wanted[0])


def _give_worktree(context: Context, lock: PassLock, record: StreamRecord) -> Restored:
    """Give a stream that lost its worktree, or gave it back, one on its branch."""
    lock.require(context.site)
    path = Path(record.path) if record.path else context.path_for(context.values_of(record))
    if record.standing or record.status in IN_SESSION:
        raise RefusedError(f"{record.name} is {record.status}: there is nothing to restore", "see `loki-hooks status`")
    if record.path and (path / ".git").exists():
        raise RefusedError(
            f"{record.name} is here, in {record.path} ({record.status})",
            "an earlier one of the name comes back once this one is finished",
        )
    tip = context.git.commit_id(f"refs/heads/{record.branch}")
    if tip is None:
        raise RefusedError(
            f"the branch {record.branch} of {record.name} is gone",
            f"`loki-hooks finish {record.name} --abandon` takes it off the list; then restore it",
        )
    _refuse_clashes(context, record, path, tip)
    forget_missing(context.site, path)
    add(context.site, path, record.branch, tip, new_branch=False)
    record = replace(record, path=str(path), reason="")
    context.store.update(lambda s: s.with_stream(replace(s.streams[record.stream], path=str(path), reason="")))
    _furnish(context, record)
    events.record(context.site, "restored", record.stream, commit=tip, evidence={"path": str(path)})
    return Restored(record)


def _bring_back(context: Context, lock: PassLock, entry: Trashed) -> Restored:
    lock.require(context.site)
    old = entry.record
    path = Path(old.path) if old.path else context.path_for(context.values_of(old))
    existing = context.git.commit_id(f"refs/heads/{old.branch}")
    _refuse_clashes(context, old, path, entry.tip)
    forget_missing(context.site, path)
    add(context.site, path, old.branch, entry.tip, new_branch=existing is None)
    record = StreamRecord(
        old.kind,
        old.name,
        Status.KEPT,
        str(path),
        old.branch,
        base=old.base,
        origin=old.origin,
        task=old.task,
        agent=old.agent,
        priority=old.priority,
        created_at=old.created_at or now(),
        tip=entry.tip,
        explicit_base=old.explicit_base,
        reason="restored",
        extra=old.extra,
    )
    context.store.update(lambda s: s.with_stream(record))
    furnish(context, record)
    notes = [
        f"{name} stays in {entry.files}: something is in its place"
        for name in bring_back(path, entry.work, entry.index, entry.files)
    ]
    head = trailers(context.git, entry.work).get("Head") if entry.work else None
    if head:
        notes.append(f"its worktree was detached at {head}: `git -C {path} switch --detach {head}` goes there")
    _unpack(context, record, entry)
    _furnish(context, record)  # last: what the person had changed in a copied file is what comes back
    events.record(
        context.site,
        "restored",
        record.stream,
        commit=entry.tip,
        evidence={"path": str(path), "branch": record.branch, "trash": entry.ref},
    )
    return Restored(record, tuple(notes))


def _refuse_clashes(context: Context, record: StreamRecord, path: Path, tip: str) -> None:
    at = context.git.commit_id(f"refs/heads/{record.branch}")
    if at is not None and at != tip:
        raise RefusedError(
            f"the branch {record.branch} exists, at another commit ({at[:12]})",
            f"rename it (`git branch -m {record.branch} NEW`), then restore again",
        )
    holder = next((w for w in list_worktrees(context.git) if w.branch == record.branch and w.path.is_dir()), None)
    if holder is not None:
        raise RefusedError(f"the branch {record.branch} is checked out in {holder.path}", "switch that worktree first")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RefusedError(f"{path} exists", "move it away, then restore again")
    for other in context.store.read().streams.values():
        if other.stream != record.stream and other.status in LIVING | {Status.KEPT} and other.path == str(path):
            raise RefusedError(f"{path} belongs to the stream {other.stream}", "finish that one first")


def _furnish(context: Context, record: StreamRecord) -> None:
    if record.base and context.git.commit_id(record.base):
        context.git.update_ref(base_ref(record.stream), record.base, None, "base")
    furnish(context, record)
    if not untrusted_reason(context):
        copy_environment(context, record)


def _unpack(context: Context, record: StreamRecord, entry: Trashed) -> None:
    """Put the archive's files back where they were; the archive itself stays until it expires."""
    if entry.archive is None:
        return
    logs = context.site.folder("logs")
    for source in sorted(entry.archive.iterdir()):
        data = read_plain(source)
        if source.name in {"CONTINUITY.md", PLAN_FILE} and data is not None:
            write_atomic(Path(record.path) / LOKI / source.name, data)
        elif source.name == "prompt.md" and data is not None:
            write_atomic(context.site.folder("state", "prompts") / f"{record.stream}.md", data)
        elif source.suffix == ".log" and not source.is_symlink() and not (logs / source.name).exists():
            shutil.copyfile(source, logs / source.name)


def reregister(context: Context, path: Path) -> Restored:
    """Make a folder that was a worktree of this repository one again, after its registration was lost.

    Its files are not touched: what differs from its branch shows as changes. Raises ``LokiError``.
    """
    pointer = (read_plain(path / ".git") or b"").decode("utf-8", "surrogateescape").removeprefix("gitdir: ").strip()
    admin = Path(pointer)
    if not pointer or admin.parent != context.site.common / "worktrees":
        raise BadInputError(f"{path} was no worktree of this repository", "name a stream, or such a folder")
    with hold_pass(context.site) as lock:
        if admin.exists():
            context.git.out("worktree", "repair", str(path))
            return Restored(StreamRecord("feature", path.name, Status.OPEN, str(path)), ("repaired by git",))
        return _register_again(context, lock, path)


def _register_again(context: Context, lock: PassLock, path: Path) -> Restored:
    lock.require(context.site)
    branch = _branch_of(context, path)
    tip = context.git.commit_id(f"refs/heads/{branch}") if branch else context.git.commit_id(context.integration_ref)
    if tip is None:
        raise LokiError("there is no commit to register it at", "nothing was done")
    beside = path.with_name(f".{path.name}.loki-register")
    words = [str(beside), branch] if branch else ["--detach", str(beside), tip]
    context.git.out("worktree", "add", "--quiet", "--no-checkout", *words)
    (beside / ".git").replace(path / ".git")
    beside.rmdir()
    context.git.out("worktree", "repair", str(path))
    Git(path).out("reset", "--quiet", timeout=1800)
    events.record(context.site, "registered", detail=str(path), evidence={"branch": branch})
    return Restored(StreamRecord("feature", path.name, Status.OPEN, str(path), branch, tip=tip))


def _branch_of(context: Context, path: Path) -> str:
    """Return the branch that a stream with this folder would have, '' when it is gone or checked out elsewhere."""
    taken = {w.branch for w in list_worktrees(context.git)}
    state = context.store.read()
    for record in state.streams.values():
        if record.path == str(path) and record.branch not in taken:
            return record.branch if context.git.commit_id(f"refs/heads/{record.branch}") else ""
    from loki_hooks.actions.identity import identify

    for ref in context.git.refs("refs/heads/"):
        branch = ref.removeprefix("refs/heads/")
        identity = identify(context, branch)
        if identity is None or branch in taken:
            continue
        values = context.values(kind=identity.kind, name=identity.name, stream=identity.stream)
        if context.path_for(values) == path:
            return branch
    return ""
