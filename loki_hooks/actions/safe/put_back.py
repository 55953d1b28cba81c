"""Put a safe snapshot back: a new worktree, its branch at the right commit, what was uncommitted as uncommitted.

Nothing that exists is written over. The branch is made again where it is gone, moved forward where that loses nothing,
and left alone where it went on; where it is somewhere else, the work comes back on a branch of another name.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.safe.salvage import bring_back
from loki_hooks.actions.safe.snapshot import Safe, missing, read
from loki_hooks.domain.names import shown
from loki_hooks.domain.refs import PAST
from loki_hooks.errors import LokiError, RefusedError
from loki_hooks.system.clock import seconds_since, stamp
from loki_hooks.system.git.git import Git
from loki_hooks.system.git.merges import merge_trees
from loki_hooks.system.git.operations import branch_held_by_operation
from loki_hooks.system.worktrees.registry import add

_SHOWN = 10
_MAX_NAMES = 1000


@dataclass(frozen=True)
class Back:
    """``branch``: the one that has the work now; ``commit``: what is checked out; ``notes`` are sentences for people."""

    branch: str
    commit: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Place:
    """Where the snapshot goes: on ``branch`` at ``commit``. ``new``: the branch is to be made."""

    branch: str
    commit: str
    new: bool
    note: str = ""


def put_back(context: Context, path: Path, branch: str, safe: Safe, *, ours: bool) -> Back:
    """Make the worktree at ``path``, which is free, of the snapshot. Raises ``LokiError``; then there is none.

    ``ours``: that the branch is the stream's is known from elsewhere than the snapshot; only then it may move forward.
    """
    git = context.git
    ref = f"{PAST}{safe.stream}/{stamp()}"
    if not git.update_ref(ref, safe.commit, None, "restored"):  # the next snapshot takes the place of this one
        raise LokiError(f"cannot pin the snapshot {safe.commit[:12]}", "nothing was changed")
    place = _place(context, branch, safe, ours=ours)
    notes = [f"as it was {_age(safe.time)} ({safe.time[:19]}Z), kept as {ref}", *filter(None, (place.note,))]
    if safe.head == safe.tip:
        add(context.site, path, place.branch, place.commit, new_branch=place.new)
        commit, work, index = place.commit, safe.commit, safe.index
        if commit != safe.tip:
            work, note = _on_top(context, path, commit, safe)
            index = ""
            notes.append(note)
    else:
        if place.new and not git.update_ref(f"refs/heads/{place.branch}", place.commit, "", "restored"):
            raise RefusedError(f"the branch {place.branch} exists by now", "restore again")
        add(context.site, path, "", safe.head, new_branch=False)
        commit, work, index = safe.head, safe.commit, safe.index
        notes.append(_why_detached(path, place.branch, safe))
    bring_back(path, work, index, "")
    return Back(place.branch, commit, (*notes, *_about(git, path, safe)))


def _place(context: Context, branch: str, safe: Safe, *, ours: bool) -> _Place:
    git = context.git
    at = git.commit_id(f"refs/heads/{branch}")
    if at is None:
        return _Place(branch, safe.tip, new=True)
    if at == safe.tip:
        return _Place(branch, at, new=False)
    if git.is_ancestor(safe.tip, at):
        return _Place(branch, at, new=False, note=f"{branch} went on since then: it stays at {at[:12]}")
    forward = ours and git.is_ancestor(at, safe.tip) and not branch_held_by_operation(context.site, branch)
    if forward and git.update_ref(f"refs/heads/{branch}", safe.tip, at, "restored"):
        return _Place(branch, safe.tip, new=False, note=f"{branch} was at {at[:12]}: it went forward")
    for number in range(1, _MAX_NAMES):
        name = f"{branch}-restored" + (f"-{number}" if number > 1 else "")
        if git.commit_id(f"refs/heads/{name}") is None:
            note = f"{branch} is at another commit now ({at[:12]}) and stays there: the work is back on {name}"
            return _Place(name, safe.tip, new=True, note=note)
    raise RefusedError(f"{branch} is at another commit now ({at[:12]})", "rename it, then restore again")


def _on_top(context: Context, path: Path, commit: str, safe: Safe) -> tuple[str, str]:
    """Return (the tree of what was uncommitted, brought onto ``commit``; what to say of it)."""
    if not safe.has_uncommitted(context.git):
        return "", "nothing was uncommitted"
    merged = merge_trees(context.git, commit, safe.commit)
    if not merged.conflicts:
        return merged.tree, "what was uncommitted is put on top of it, not staged"
    here = shlex.quote(str(path))
    files = ", ".join(merged.conflicts[:_SHOWN])
    return "", (
        f"what was uncommitted conflicts with it in {files} and is not put back: "
        f"`git -C {here} diff {safe.tip[:12]} {safe.commit}` shows it"
    )


def _why_detached(path: Path, branch: str, safe: Safe) -> str:
    here = shlex.quote(str(path))
    if safe.operation:
        what = f"a {safe.operation} was in progress, which cannot be taken up again"
    else:
        what = f"{shown(safe.on)} was checked out" if safe.on else "it was detached"
    return f"{what}: HEAD is at {safe.head[:12]} as it was; `git -C {here} switch {shlex.quote(branch)}` goes to its branch"


def _about(git: Git, path: Path, safe: Safe) -> list[str]:
    notes = []
    if safe.on and safe.head == safe.tip:
        notes.append(
            f"{shown(safe.on)} was checked out, which had no commit of its own: its files are here, as changes"
        )
    if safe.operation and safe.head == safe.tip:
        notes.append(f"a {safe.operation} was in progress: the files are as they were, the {safe.operation} is not")
    if safe.left:
        notes.append(f"not in the snapshot: {_few([f'{_plain(name)} ({_plain(why)})' for name, why in safe.left])}")
    if safe.vanished:
        notes.append(f"these had just gone, and are back as they were before: {_few(map(_plain, safe.vanished))}")
    fuller = _only_before(git, safe)
    if fuller:
        here = shlex.quote(str(path))
        notes.append(
            f"a snapshot before it also had {_few(map(_plain, fuller))}: "
            f"`git -C {here} restore --source {safe.before} --worktree -- PATH` brings one back"
        )
    return notes


def _only_before(git: Git, safe: Safe) -> list[str]:
    before = read(git, safe.stream, safe.before) if safe.before else None
    return sorted(missing(git, before, safe)) if before else []


def _few(words: object) -> str:
    assert isinstance(words, list | map)
    listed = list(words)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more


def _plain(text: str) -> str:
    return shown(text, 120)[1:-1]


def _age(time: str) -> str:
    seconds = max(seconds_since(time) or 0.0, 0.0)
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds)} seconds ago"
