"""What can be brought back: what we removed (`refs/loki/trash`), and worktrees that others took away (`refs/loki/safe`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loki_hooks.actions.context import Context
from loki_hooks.actions.safe.salvage import is_ours, trailers
from loki_hooks.actions.safe.snapshot import Safe, lost
from loki_hooks.domain.names import STANDARD_KINDS, flat
from loki_hooks.domain.refs import SAFE, TRASH
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import Status
from loki_hooks.system.clock import now
from loki_hooks.system.json import read_json


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
    safe: Safe | None = None
    """The snapshot that it is, of a worktree that we did not remove."""

    @property
    def words(self) -> frozenset[str]:
        """What a person may call it."""
        r = self.record
        return frozenset({r.name, r.stream, r.branch, f"{r.stream}/{self.time}"})

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


def to_restore(context: Context) -> list[Trashed]:
    """Return what can be brought back: worktrees that somebody else took away, then what we removed; newest first."""
    state = context.store.read()
    gone = [lost_entry(context, safe, state.streams.get(safe.stream)) for safe in lost(context, state)]
    return gone + trashed(context)


def lost_entry(context: Context, safe: Safe, record: StreamRecord | None) -> Trashed:
    """Return the entry of a snapshot; ``record``: what is known of its stream."""
    return Trashed(
        record or _guess(context, safe.stream, safe.branch, safe.tip),
        safe.time,
        f"{SAFE}{safe.stream}",
        safe.tip,
        work=safe.commit if safe.has_uncommitted(context.git) else "",
        index=safe.index,
        reasons=("its worktree is gone, not by us",),
        safe=safe,
    )


def trashed(context: Context) -> list[Trashed]:
    """Return what we removed and can bring back, the newest first."""
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
    made = trailers(context.git, oid) if _is_work(context, oid, stream, facts) else {}
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


def _is_work(context: Context, oid: str, stream: str, facts: Mapping[str, Any]) -> bool:
    """Whether it is a commit of uncommitted work, by the record of its removal; any commit's message can say so.

    Where there is no record (archives are not for ever) it must at least be one that we made.
    """
    if "work" in facts and facts.get("trash"):
        return bool(facts["work"] == oid)
    return is_ours(context.git, oid, stream)


def _guess(context: Context, stream: str, branch: str, tip: str) -> StreamRecord:
    """Return the record as far as it can be told without an archive: by the stream's id and the templates."""
    kind, dash, name = stream.partition("-")
    if not dash or kind not in {*STANDARD_KINDS, *context.config.working.branches}:
        kind, name = "feature", stream
    values = context.values(kind=kind, name=name, stream=stream)
    base = context.git.maybe("merge-base", tip, context.integration_ref)
    return StreamRecord(
        kind,
        name,
        Status.KEPT,
        str(context.path_for(values)),
        branch or context.branch_for(kind, values, name),
        base=base or tip,
        created_at=now(),
        explicit_base=base is None,
    )
