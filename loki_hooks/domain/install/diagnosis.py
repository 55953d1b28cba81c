"""What `doctor` says: findings as values, and the decisions behind them that need no machine.

A finding proves rather than guesses: it carries its evidence. It is wrong only where something does not work as it
should, or will not; what merely is as it is (no gh here) is a finding that is fine. A repair is offered only where
nothing can be lost by it, and what makes that certain is looked at again at the moment it is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Cure(Enum):
    """The repairs that `doctor --fix` makes; each is safe, whoever else is at work."""

    COPY_SCRIPTS = "write our own hook scripts anew, in our own folder"
    MAKE_EXECUTABLE = "make our hook file executable"
    UNSET_BARE = "set core.bare to false"
    UNSET_WORKTREE = "unset core.worktree"
    MOVE_LOCK_ASIDE = "move the lock aside"
    MOVE_ENTRY_ASIDE = "move the half-made registration aside"
    UNLOCK_WORKTREE = "unlock the worktree"
    RECONNECT_WORKTREE = "tell git where the worktree is now"
    SET_STATE_ASIDE = "keep the state file under another name; the next pass builds it from git"
    DELETE_RESULT = "forget the unreadable gate result; the gate runs again"
    MAKE_LOKI = "make .loki/ again"
    MAKE_PRIVATE = "let only its owner read and write it"


@dataclass(frozen=True)
class Repair:
    """``target`` is a path or a ref; ``was`` what must still be so when the repair is made."""

    cure: Cure
    target: str = ""
    was: str = ""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ``evidence`` says how we know, ``todo`` what a person can do."""

    check: str
    ok: bool
    what: str
    evidence: str = ""
    todo: str = ""
    repair: Repair | None = None
    fixed: bool = False

    @property
    def wrong(self) -> bool:
        return not self.ok and not self.fixed

    def to_json(self) -> dict[str, Any]:
        return {
            "check": self.check,
            "ok": self.ok,
            "what": self.what,
            "evidence": self.evidence,
            "todo": self.todo,
            "fixable": self.repair is not None,
            "fixed": self.fixed,
        }


def anything_wrong(findings: Iterable[Finding]) -> bool:
    return any(finding.wrong for finding in findings)


# Locks -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LockFacts:
    """Who could own a lock file of git's, which names no owner. All lists are for people to read."""

    open_by: tuple[str, ...] = ()
    """Processes that have it open."""
    git_here: tuple[str, ...] = ()
    """Live git processes that work in this repository, or that cannot be shown to work elsewhere."""
    unseen: str = ""
    """'' or why not every process that could own it can be seen (another user's, another machine's)."""


class LockOwner(Enum):
    """Whether somebody alive owns a lock."""

    ALIVE = "alive"
    DEAD = "dead"
    UNSEEN = "unseen"


def owner_of_lock(facts: LockFacts) -> tuple[LockOwner, str]:
    """Return whether anybody alive can own the lock, and the evidence. Age is no evidence."""
    if facts.open_by:
        return LockOwner.ALIVE, f"open in {', '.join(facts.open_by)}"
    if facts.git_here:
        return LockOwner.ALIVE, f"git is at work: {', '.join(facts.git_here)}"
    if facts.unseen:
        return LockOwner.UNSEEN, facts.unseen
    return LockOwner.DEAD, "no process has it open, and no live git process works in this repository"


# Patches of hook frameworks ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class PatchFacts:
    """What is known of a patch that pre-commit or prek put unstaged changes into, in one worktree."""

    owner_alive: bool
    in_git: bool
    """All of what it would make is in git's database: it was added or committed since."""
    applies: bool
    applies_in_reverse: bool
    """The changes are in the worktree."""
    reset_then: bool
    """The files were last written when the patch was made: by the framework, which put them back to what git has."""


def is_lost_work(facts: PatchFacts) -> bool:
    """Return whether the patch holds work that a killed hook took away and nobody put back.

    The frameworks keep every patch, so most hold nothing that is missed. That it still applies is not enough: an edit
    that was put back and withdrawn later looks the same, but then the files were written later.
    """
    return (
        not facts.owner_alive
        and not facts.in_git
        and facts.applies
        and not facts.applies_in_reverse
        and (facts.reset_then)
    )


# Versions ----------------------------------------------------------------------------------------------------

GIT_NEEDED = (2, 31)
_GIT_LIMITS: tuple[tuple[tuple[int, int], str], ...] = (
    ((2, 36), "worktrees whose path has a line break are misread, and hooks are proved by running their file"),
    ((2, 38), "merges in memory are libgit2's, which knows no directory renames"),
    ((2, 54), "hooks live in files, not in git's configuration"),
)


def git_limits(version: Sequence[int]) -> tuple[bool, tuple[str, ...]]:
    """Return whether this git will do, and what it cannot do here."""
    have = tuple(version[:2])
    limits = tuple(f"before {'.'.join(map(str, needed))} {limit}" for needed, limit in _GIT_LIMITS if have < needed)
    return have >= GIT_NEEDED, limits


_FORMATS = {
    "objectformat": ("sha256", "object ids are sha256"),
    "refstorage": ("reftable", "refs are in a reftable"),
    "partialclone": ("", "it is a partial clone"),
    "sparse": ("true", "the index is sparse"),
    "splitindex": ("true", "the index is split"),
}
"""What pygit2 (libgit2 1.9) cannot read: key of the repository's configuration → value ('': any) and words."""


def unreadable_to_pygit2(settings: dict[str, str]) -> tuple[str, ...]:
    """Return why pygit2 cannot read a repository with these settings (last part of the key, lower case → value)."""
    return tuple(
        words
        for key, (value, words) in _FORMATS.items()
        if key in settings and (settings[key].lower() == value or (not value and settings[key]))
    )
