"""The one classifier of removals: facts in, *remove* or *keep, because …* out.

Nothing else in the program may decide that a worktree or a branch goes. Unknown counts as a reason to keep.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Going(Enum):
    """What is to go. Where the branch stays, what is on it is safe; what a person gives up is kept in the trash."""

    ALL = "worktree and branch"
    WORKTREE = "worktree"
    TO_TRASH = "worktree and branch, with all that is in them, to the trash"


@dataclass(frozen=True)
class WorktreeFacts:
    """What was found in and about a worktree. Lists hold examples for the person who reads the reasons.

    ``merged_by`` says how the branch's work is known to be in the integration branch ('' when it is not).
    ``folder`` is False when there is no worktree's folder; ``away`` then says why that proves nothing, '' where git does
    not know of any either.
    """

    is_main: bool = False
    folder: bool = True
    away: str = ""
    modified: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    precious: tuple[str, ...] = ()
    """Ignored files that we did not copy in, or that changed since, and that no tool rebuilds."""
    processes: tuple[str, ...] = ()
    lock: str | None = None
    """The reason of a lock that holds (None: not locked, or by a session of ours that is over)."""
    operation: str = ""
    unreachable: tuple[str, ...] = ()
    """Commits of the branch that no other branch, remote or the integration branch has."""
    detached: tuple[str, ...] = ()
    """Commits that only the worktree's detached HEAD has."""
    nested: tuple[str, ...] = ()
    """Other worktrees whose folder is inside this one."""
    submodule_work: tuple[str, ...] = ()
    stashes: tuple[str, ...] = ()
    own_commits: bool = False
    ended: bool = False
    """The stream has ended otherwise than by merging (abandoned by a person)."""
    merged_by: str = ""
    session_alive: bool = False
    is_current: bool = False
    unreadable: str = ""


@dataclass(frozen=True)
class Removal:
    """``remove`` False keeps. ``reasons`` say why, in either case."""

    remove: bool
    reasons: tuple[str, ...] = field(default_factory=tuple)


def classify(facts: WorktreeFacts, going: Going = Going.ALL) -> Removal:
    """Return the verdict. Every reason to keep is named, not only the first."""
    keep = [*_in_use(facts)]
    if facts.away and going is not Going.TO_TRASH:  # that is a person's word; what git still has of it is pinned
        keep.append(facts.away)
    if going is not Going.TO_TRASH:
        keep += _uncommitted(facts)
    if going is Going.WORKTREE:
        keep += _named("commits that are nowhere else", facts.detached)
    if going is Going.ALL:
        keep += _named("stashes made here", facts.stashes)
        keep += _named("commits that are nowhere else", (*facts.unreachable, *facts.detached))
        if not facts.own_commits and not facts.ended:
            keep.append("it has no commit of its own yet: it is new")
        elif not facts.merged_by and not facts.ended:
            keep.append("its work is not in the integration branch")
    if keep:
        return Removal(False, tuple(keep))
    gone = () if facts.folder else ("its folder is gone",)
    why = {
        Going.WORKTREE: "its branch stays",
        Going.TO_TRASH: "abandoned by a person",
        Going.ALL: "its stream has ended",
    }
    return Removal(True, (facts.merged_by if going is Going.ALL and facts.merged_by else why[going], *gone))


def _in_use(facts: WorktreeFacts) -> list[str]:
    """What forbids the removal whatever becomes of the work: somebody is at it, or git could not do it cleanly."""
    keep = []
    if facts.is_main:
        keep.append("it is the main worktree")
    if facts.unreadable:
        keep.append(f"git cannot tell what is in it: {facts.unreadable}")
    if facts.session_alive:
        keep.append("its session is alive")
    if facts.is_current:
        keep.append("you are in it")
    if facts.lock is not None:
        keep.append(f"it is locked: {facts.lock or 'no reason given'}")
    if facts.operation:
        keep.append(f"a {facts.operation} is in progress")
    keep += _named("live processes inside", facts.processes)
    keep += _named("work in submodules", facts.submodule_work)
    keep += _named("other worktrees inside", facts.nested)
    return keep


def _uncommitted(facts: WorktreeFacts) -> list[str]:
    return [
        *_named("uncommitted changes", facts.modified),
        *_named("untracked files", facts.untracked),
        *_named("ignored files of somebody's", facts.precious),
    ]


def _named(what: str, found: tuple[str, ...]) -> list[str]:
    return [f"{what}: {_examples(found)}"] if found else []


def _examples(found: tuple[str, ...], most: int = 3) -> str:
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more
