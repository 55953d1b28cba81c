"""Remove a stream whose work is safe elsewhere: on evidence, archived and pinned first, by git's own removal.

The only place of the program that removes a worktree or a branch. Order matters: the tip is pinned under
``refs/loki/trash/`` and the archive written before anything goes, and every fact is looked at again just before.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.prepare import base_ref
from loki_hooks.domain.names import flat
from loki_hooks.domain.removal import Removal, classify
from loki_hooks.domain.signals import SignalName
from loki_hooks.domain.status import Status
from loki_hooks.domain.streams import StreamRecord
from loki_hooks.errors import LokiError
from loki_hooks.system import events, signal_files
from loki_hooks.system.clock import stamp
from loki_hooks.system.files import dump_json, read_plain, write_atomic
from loki_hooks.system.git import WorktreeEntry, list_worktrees
from loki_hooks.system.inspect import look
from loki_hooks.system.site import LOKI
from loki_hooks.system.worktrees import remove, unlock_dead


@dataclass(frozen=True)
class Verdict:
    """What clean-up would do with a stream now."""

    record: StreamRecord
    removal: Removal


def judge(context: Context, record: StreamRecord) -> Removal:
    """Return the verdict on a stream from facts gathered now."""
    if record.standing:
        return Removal(False, ("it is a standing stream",))
    return classify(look(context.site, record, _entry(context, record), context.integration_ref))


def judge_all(context: Context) -> list[Verdict]:
    """Return the verdict on every stream that is not archived, by id."""
    state = context.store.read()
    return [Verdict(r, judge(context, r)) for _, r in sorted(state.streams.items())
            if r.status is not Status.ARCHIVED and r.kind != "main"]


def clean_stream(context: Context, record: StreamRecord) -> Removal:
    """Remove the stream's worktree and branch if the classifier says so now. Raises ``LokiError`` when git refuses."""
    removal = judge(context, record)
    if not removal.remove:
        return removal
    site, git = context.site, context.git
    path = Path(record.path)
    tip = git.commit_id(f"refs/heads/{record.branch}") or record.tip
    time = stamp()
    trash = f"refs/loki/trash/{record.stream}/{time}"
    if tip and not git.update_ref(trash, tip, None, f"clean up {record.stream}"):
        raise LokiError(f"cannot pin {tip[:12]} before removing {record.stream}")
    archive = _archive(context, record, time, tip, trash, removal)
    entry = _entry(context, record)
    if entry is not None and path.is_dir():
        unlock_dead(site, path)
        again = judge(context, record)
        if not again.remove:
            return again
        # git's removal refuses what changed since; our own folder in it is the one thing that it should not mind.
        remove(site, path)
    else:
        git.run("worktree", "prune")
    if tip and git.commit_id(f"refs/heads/{record.branch}") is not None:
        if any(w.branch == record.branch for w in list_worktrees(git)):
            raise LokiError(f"the branch {record.branch} is checked out elsewhere")
        if not git.delete_ref(f"refs/heads/{record.branch}", tip):
            raise LokiError(f"the branch {record.branch} moved meanwhile")
        git.run("config", "--remove-section", f"branch.{record.branch}")
    git.run("update-ref", "-d", base_ref(record.stream))
    context.store.update(
        lambda s: s.with_stream(s.streams[record.stream].moved(Status.ARCHIVED, path="", reason=""))
        if record.stream in s.streams and s.streams[record.stream].status is Status.MERGED else s.without(record.stream)
    )
    for kind, subject in (("WORKTREE_FAILED", record.stream), ("MERGE_REQUESTED", record.stream), ("FEATURE_READY", record.name)):
        signal_files.clear(site, SignalName(kind, subject))
    events.record(site, "removed", record.stream, commit=tip, detail="; ".join(removal.reasons),
                  evidence={"path": str(path), "branch": record.branch, "trash": trash, "archive": str(archive)})
    return removal


def _entry(context: Context, record: StreamRecord) -> WorktreeEntry | None:
    return next((w for w in list_worktrees(context.git) if str(w.path) == record.path), None)


def _archive(context: Context, record: StreamRecord, time: str, tip: str, trash: str, removal: Removal) -> Path:
    """Keep the stream's logs, results, prompt and CONTINUITY.md, with how to undo. Environment files are not kept."""
    site = context.site
    folder = site.folder("archive", f"{flat(record.stream)}-{time}")
    logs = site.loki / "logs"
    for pattern in (f"session-{record.stream}.log", f"session-{record.stream}.*.log", f"setup-{record.stream}.log"):
        for log in sorted(logs.glob(pattern)):
            if not log.is_symlink():
                shutil.move(log, folder / log.name)
    for source, name in ((Path(record.path) / LOKI / "CONTINUITY.md", "CONTINUITY.md"),
                         (site.loki / "state" / "prompts" / f"{record.stream}.md", "prompt.md")):
        data = read_plain(source)
        if data is not None:
            write_atomic(folder / name, data)
    write_atomic(folder / "record.json", dump_json({**record.to_json(), "tip": tip, "trash": trash,
                                                    "removed_because": list(removal.reasons)}))
    write_atomic(folder / "UNDO.md", f"# How to bring {record.stream} back\n\n"
                 f"Its tip {tip} is kept as `{trash}`:\n\n"
                 f"    git worktree add -b {record.branch} '{record.path}' {trash}\n")
    return folder
