"""Safe snapshots: ``refs/loki/safe/<stream>`` has a live worktree's newest state, uncommitted and untracked work included.

It is a commit of the same form as what goes to the trash (``salvage.py``, ``W``), with further trailers:

    Loki-Time: <when>              Loki-On: <the branch that was checked out, where it is not the stream's>
    Loki-Left: <JSON: what was left out, each with the reason>      Loki-Operation: rebase, merge, …
    Loki-Before: <the snapshot before, where it has files that this one lacks>      Loki-Lacking-Since: <when>
    Loki-Vanished: <JSON: files that had just gone, and are in it as they were before>

Every commit that a trailer names is a parent, so nothing of it can be pruned. Who makes them: ``keeper.py``.

Nothing here believes the ref: anybody can write it. ``read`` proves that it is of this form.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.safe.salvage import commit_work, trailers
from loki_hooks.domain.refs import SAFE
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import Status
from loki_hooks.system.clock import seconds_since
from loki_hooks.system.git.git import Git
from loki_hooks.system.json import parse_json
from loki_hooks.system.site import Site
from loki_hooks.system.worktrees.registrations import is_here, moved_to, registration_of

_OID = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


@dataclass(frozen=True)
class Safe:
    """A safe snapshot. ``tip``: the stream's branch's commit; ``head``: the worktree's; ``index``: a commit of what was
    staged ('' where that is HEAD); ``before``: a fuller snapshot, or ''; ``left``: what is not in it, with the reasons.
    """

    stream: str
    commit: str
    tree: str
    branch: str
    tip: str
    head: str
    time: str
    index: str = ""
    on: str = ""
    operation: str = ""
    before: str = ""
    lacking_since: str = ""
    left: tuple[tuple[str, str], ...] = ()
    vanished: tuple[str, ...] = ()

    def has_uncommitted(self, git: Git) -> bool:
        """Whether anything was uncommitted."""
        return bool(self.index) or self.tree != git.tree_id(self.head)


def read(git: Git, stream: str, oid: str) -> Safe | None:
    """Return the snapshot ``oid`` of the stream, None when it is none: every commit that it names must be its parent."""
    said = trailers(git, oid)
    shown = git.maybe("log", "-1", "--format=%H %T %P", oid) if said else None
    if shown is None:
        return None
    commit, tree, *parents = shown.split()
    tip = said.get("Tip", "")
    head = said.get("Head", tip)
    index, before = said.get("Index", ""), said.get("Before", "")
    if not all(_OID.fullmatch(oid) and oid in parents for oid in (tip, head, *filter(None, (index, before)))):
        return None
    if seconds_since(said.get("Time", "")) is None or not said.get("Branch"):
        return None
    pairs = _listed(said.get("Left", ""))
    return Safe(
        stream,
        commit,
        tree,
        said["Branch"],
        tip,
        head,
        said["Time"],
        index,
        said.get("On", ""),
        said.get("Operation", ""),
        before,
        said.get("Lacking-Since", ""),
        tuple((str(pair[0]), str(pair[1])) for pair in pairs if isinstance(pair, list) and len(pair) == 2),
        tuple(str(path) for path in _listed(said.get("Vanished", ""))),
    )


def _listed(text: str) -> list[object]:
    value = parse_json(text.encode("utf-8", "replace"))
    return value if isinstance(value, list) else []


def missing(git: Git, before: Safe | None, safe: Safe) -> frozenset[str]:
    """Return the files that the snapshot before had (or HEAD has), and that went without git being told."""
    gone = _deleted(git, before.tree if before else git.tree_id(safe.head), safe.tree)
    if not gone:
        return frozenset()
    known = before.index or before.head if before else safe.head
    return gone - _deleted(git, known, safe.index or safe.head)


def _deleted(git: Git, old: str, new: str) -> frozenset[str]:
    if old == new:
        return frozenset()
    listed = git.out("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--diff-filter=D", old, new)
    return frozenset(filter(None, listed.split("\0")))


def snapshot_of(context: Context, stream: str) -> Safe | None:
    """Return the stream's safe snapshot, None when there is none."""
    oid = context.git.commit_id(f"{SAFE}{stream}")
    return read(context.git, stream, oid) if oid else None


def holds_work(context: Context, safe: Safe, *elsewhere: str) -> bool:
    """Whether the snapshot has anything that neither the integration branch nor the commits ``elsewhere`` have."""
    git = context.git
    if safe.has_uncommitted(git):
        return True
    places = [place for place in (context.integration_ref, *elsewhere) if place]
    return not all(any(git.is_ancestor(oid, place) for place in places) for oid in {safe.tip, safe.head})


def is_only_place(context: Context, stream: str) -> bool:
    """Whether the stream has a safe snapshot with work that the integration branch does not have."""
    safe = snapshot_of(context, stream)
    return safe is not None and holds_work(context, safe)


def forget(context: Context, stream: str) -> None:
    """Delete the stream's safe snapshot: its work is somewhere else, or was given up."""
    context.git.run("update-ref", "-d", f"{SAFE}{stream}")


def write(git: Git, safe: Safe) -> str:
    """Return the commit that the snapshot is, made where it is not there yet."""
    said = {
        "Branch": safe.branch,
        "Tip": safe.tip,
        "Index": safe.index,
        "Head": safe.head if safe.head != safe.tip else "",
        "On": safe.on,
        "Time": safe.time,
        "Operation": safe.operation,
        "Before": safe.before,
        "Lacking-Since": safe.lacking_since,
        "Left": json.dumps([list(pair) for pair in safe.left]) if safe.left else "",
        "Vanished": json.dumps(list(safe.vanished)) if safe.vanished else "",
    }
    parents = list(dict.fromkeys(oid for oid in (safe.tip, safe.head, safe.index, safe.before) if oid))
    return commit_work(git, safe.stream, safe.tree, parents, {key: value for key, value in said.items() if value})


def lost(context: Context, state: State) -> list[Safe]:
    """Return the snapshots whose worktree is gone, of streams that are living, kept, or not known at all; newest first."""
    found = []
    for ref, oid in context.git.refs(SAFE).items():
        stream = ref.removeprefix(SAFE)
        record = state.streams.get(stream)
        if record is not None and (
            record.status is Status.ARCHIVED or not record.path or _is_found(context.site, Path(record.path))
        ):
            continue
        safe = read(context.git, stream, oid)
        if safe is not None and (record is not None or holds_work(context, safe)):
            found.append(safe)
    return sorted(found, key=lambda safe: safe.time, reverse=True)


def _is_found(site: Site, path: Path) -> bool:
    """Whether the worktree is in its place, or was surely moved: then `doctor --fix` tells git, and nothing is lost."""
    if is_here(site, path):
        return True
    admin = registration_of(site, path)
    return admin is not None and moved_to(admin, path) is not None
