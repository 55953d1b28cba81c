"""Keep the safe snapshot of a worktree new (``safe.py``): look, which is cheap, and make one when something changed.

A session's own runner does it for its worktree (``Keeper.run``); passes do it for all others (``renew_all``). The
worktree, its index and the stash are not touched. The ref has no reflog: what a newer snapshot replaced is unreachable,
and `git gc` prunes it in its time.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.safe.salvage import staged_commit, staged_secrets
from loki_hooks.actions.safe.snapshot import Safe, missing, read, write
from loki_hooks.domain.refs import SAFE
from loki_hooks.domain.secrets import withheld_of
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import Status
from loki_hooks.domain.worktrees.safe import KEEP, Doubt, Trust, judge, pause
from loki_hooks.errors import LokiError
from loki_hooks.system.clock import now, seconds_since
from loki_hooks.system.files import write_atomic
from loki_hooks.system.git.git import Git
from loki_hooks.system.git.operations import git_dir_of
from loki_hooks.system.git.snapshots import WITHHELD, Trees, WorktreeLook, filled, look, trees
from loki_hooks.system.json import dump_json, read_json
from loki_hooks.system.processes.alive import is_alive
from loki_hooks.system.site import Site
from loki_hooks.system.worktrees.secrets import secret_paths, secrets_of

MAX_TOTAL = 100 * 1024 * 1024
MAX_LEFT = 100
EVERY = 180.0
"""For so many seconds a pass does not look into a worktree again, unless its branch moved."""
_LOOKERS = 4
_NO_REFLOG = ("-c", "core.logAllRefUpdates=false")


class Keeper:
    """Keeps one worktree's snapshot new: looks, which is cheap, and makes one when something changed."""

    def __init__(self, context: Context, doubt: Doubt | None = None, key: str = "") -> None:
        self._context = context
        self._sizes: dict[str, tuple[int, int]] = {}
        self.doubt = doubt
        self.key = key
        """What tells the state that the ref has (or that nothing is to be made of) from another."""
        self.stored = 0
        """The bytes of content that were new in the last look."""

    def run(self, stream: str, over: threading.Event) -> None:
        """Renew the stream's snapshot until ``over`` is set. Raises nothing: a session does not fail for this."""
        wait = 0.0
        while not over.wait(wait):
            began, used = time.monotonic(), sum(os.times()[:4])
            self.renew_quietly(stream)
            wait = pause(sum(os.times()[:4]) - used, time.monotonic() - began, self.stored)

    def renew_quietly(self, stream: str) -> None:
        """Renew the stream's snapshot if that is possible now."""
        try:
            record = self._context.store.read().streams.get(stream)
            if record is not None and record.path:
                self.renew(record)
        except (LokiError, OSError, ValueError):
            return  # the worktree changed or went while it was looked at: the next look sees

    def renew(self, record: StreamRecord, *, spare_new: bool = False) -> None:
        """Make a snapshot if anything changed since the last one, and it can be believed. Raises ``LokiError``.

        ``spare_new``: not of a worktree in which nothing has been done yet.
        """
        self.stored = 0
        path = Path(record.path)
        if not _is_whole(self._context.site, path):
            return
        seen = look(path, withheld_of(record))
        if seen is None:
            return
        git = self._context.git
        tip = seen.head if seen.branch == record.branch else git.commit_id(f"refs/heads/{record.branch}") or seen.head
        if not tip:  # there is nothing yet that a worktree could be made at
            return
        if not seen.head:  # a branch without a commit: what there is counts as changes to the stream's own
            seen = replace(seen, head=tip, dirty=True)
        key = f"{seen.branch} {seen.head} {tip} {seen.operation} {seen.mark}"
        if (key == self.key and self.doubt is None) or (spare_new and not seen.dirty and seen.head == record.base):
            self.key = key
            return
        paths, seen = _chosen(self._context, record, seen)
        self.stored = self._new_bytes(path, paths)
        made = trees(path, paths, withheld=seen.withheld) if seen.dirty else _of_head(git, seen.head)
        seen = replace(seen, left=(*seen.left, *((name, "git cannot read it") for name in made.unreadable)))
        old = git.commit_id(f"{SAFE}{record.stream}") or ""
        before = read(git, record.stream, old) if old else None
        safe = self._believed(record, _new(git, record, seen, tip, made), before)
        if safe is not None and self._publish(record, safe, before, old):
            self.key = key

    def _believed(self, record: StreamRecord, safe: Safe, before: Safe | None) -> Safe | None:
        """Return the snapshot as far as it may take the place of the one before; None while it may not."""
        git = self._context.git
        full = before.tree if before else git.tree_id(safe.head)
        gone = missing(git, before, safe)
        trust, self.doubt = judge(self.doubt, gone, _count(git, full) if gone else 0, time.time())
        if trust is Trust.NOT_YET:
            return None
        if trust is Trust.BUT_FOR_MISSING:
            vanished = tuple(sorted(gone))
            tree = filled(Path(record.path), safe.tree, full, vanished)
            safe = replace(safe, tree=tree, vanished=vanished[:MAX_LEFT])
        return self._with_fuller(safe, before, lacks=bool(gone) and trust is Trust.WHOLE)

    def _new_bytes(self, worktree: Path, paths: tuple[str, ...]) -> int:
        sizes = {}
        for name in paths:
            try:
                found = os.lstat(worktree / name)
            except OSError:
                continue
            sizes[name] = (found.st_size, found.st_mtime_ns)
        new = sum(size[0] for name, size in sizes.items() if self._sizes.get(name) != size)
        self._sizes = sizes
        return new

    def _with_fuller(self, safe: Safe, before: Safe | None, *, lacks: bool) -> Safe:
        """Return the snapshot with the fuller one before it reachable, for as long as somebody may miss its files."""
        if before is None:
            return safe
        if before.before and 0 <= (seconds_since(before.lacking_since) or -1) < KEEP:
            return replace(safe, before=before.before, lacking_since=before.lacking_since)
        if not lacks:
            return safe
        fuller = write(self._context.git, replace(before, before="", lacking_since=""))
        return replace(safe, before=fuller, lacking_since=safe.time)

    def _publish(self, record: StreamRecord, safe: Safe, before: Safe | None, old: str) -> bool:
        """Have the ref point at the snapshot; return whether it does, or at the same one already."""
        if before is not None and replace(safe, commit=before.commit, time=before.time) == before:
            return True
        git = self._context.git
        commit = write(git, safe)
        # What was deleted meanwhile was not all seen. The `.git` file and the index are among the things that go.
        if not _is_whole(self._context.site, Path(record.path)):
            return False
        ref = f"{SAFE}{record.stream}"
        return git.ok(*_NO_REFLOG, "update-ref", "-m", "safe", ref, commit, old or "0" * len(commit))


def _is_whole(site: Site, path: Path) -> bool:
    """Whether there is a linked worktree of this repository, with its index."""
    if not (path / ".git").is_file() or (path / ".git").is_symlink():
        return False
    admin = git_dir_of(path)
    return os.path.realpath(admin.parent) == os.path.realpath(site.common / "worktrees") and (admin / "index").is_file()


def _chosen(context: Context, record: StreamRecord, seen: WorktreeLook) -> tuple[tuple[str, ...], WorktreeLook]:
    """Return what is taken of what changed, and the look with everything else as left out."""
    path = Path(record.path)
    git = Git(path, of=context.site.common)
    secrets = secrets_of(context.site.main, path, record.copied)
    is_secret = secret_paths(path, secrets)
    staged = staged_secrets(git, secrets) if seen.dirty and git.commit_id("HEAD") else frozenset()
    secret = {name for name in seen.paths if name in staged or is_secret(name)}
    sizes = {name: _size(path / name) for name in seen.paths if name not in secret}
    total = sum(sizes.values())
    large = []
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        if total <= MAX_TOTAL:
            break
        large.append(name)
        total -= sizes[name]
    why = f"together with others it has more than {MAX_TOTAL // 2**20} MiB"
    left = (*((name, WITHHELD) for name in sorted(secret)), *((name, why) for name in large))
    out = {*secret, *large}
    paths = tuple(name for name in seen.paths if name not in out)
    return paths, replace(seen, left=(*seen.left, *left), withheld=(*seen.withheld, *sorted(secret)))


def _size(path: Path) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0


def _of_head(git: Git, head: str) -> Trees:
    tree = git.tree_id(head)
    return Trees(tree, tree)


def _new(git: Git, record: StreamRecord, seen: WorktreeLook, tip: str, made: Trees) -> Safe:
    return Safe(
        record.stream,
        "",
        made.files,
        record.branch,
        tip,
        seen.head,
        now(),
        staged_commit(git, record.stream, made.index, seen.head),
        "" if seen.branch == record.branch else seen.branch,
        seen.operation,
        left=seen.left[:MAX_LEFT],
    )


def _count(git: Git, tree: str) -> int:
    return git.out("ls-tree", "-r", "-z", "--name-only", tree).count("\0")


# Passes ---------------------------------------------------------------------------------------------------


def renew_all(context: Context) -> None:
    """Renew the snapshots of the worktrees that no live session's runner renews, each at most every few minutes."""
    records = [r for r in context.store.read().streams.values() if _is_for_passes(r)]
    path = context.site.private / "safe.json"
    known = read_json(path)
    memory: dict[str, dict[str, object]] = {}
    if isinstance(known, dict):
        memory = {stream: entry for stream, entry in known.items() if isinstance(entry, dict)}
    after = {r.stream: memory[r.stream] for r in records if r.stream in memory}
    heads = context.git.refs("refs/heads/") if records else {}
    due = [r for r in records if _is_due(after.get(r.stream, {}), heads.get(f"refs/heads/{r.branch}", ""))]
    if due:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_LOOKERS) as pool:
            found = pool.map(lambda r: _renewed(context, r, after.get(r.stream, {})), due)
            for record, entry in zip(due, found, strict=True):
                after[record.stream] = {**entry, "tip": heads.get(f"refs/heads/{record.branch}", ""), "seen_at": now()}
    if after != memory:
        with contextlib.suppress(LokiError):  # then they are looked into again
            write_atomic(path, dump_json(after))


def _is_for_passes(record: StreamRecord) -> bool:
    """Whether there is a worktree whose snapshot passes renew. Those of ``main`` and of gates are nobody's work."""
    gone = record.status in {Status.ARCHIVED, Status.PLANNED} or record.kind in {"main", "testing"}
    return bool(record.path) and not gone and not is_alive(record.session)


def _is_due(entry: Mapping[str, object], tip: str) -> bool:
    age = seconds_since(str(entry.get("seen_at", "")))
    return age is None or not 0 <= age < EVERY or entry.get("tip") != tip or entry.get("doubt") is not None


def _renewed(context: Context, record: StreamRecord, entry: Mapping[str, object]) -> dict[str, object]:
    keeper = Keeper(context, _doubt_in(entry.get("doubt")), str(entry.get("key", "")))
    with contextlib.suppress(LokiError, OSError, ValueError):  # the next pass looks again
        keeper.renew(record, spare_new=True)
    return {"key": keeper.key, "doubt": asdict(keeper.doubt) if keeper.doubt else None}


def _doubt_in(value: object) -> Doubt | None:
    if not isinstance(value, dict):
        return None
    mark, since, first = value.get("mark"), value.get("since"), value.get("first")
    if not isinstance(mark, str) or not isinstance(since, int | float) or not isinstance(first, int | float):
        return None
    return Doubt(mark, float(since), float(first))
