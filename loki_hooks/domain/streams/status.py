"""Statuses of a stream, the legal moves between them, and the words shown to people. One table each.

The lifecycle:

    planned → queued → preparing → running → ready → testing → passed → merging → merged → archived

with the side tracks written in ``MOVES``. Standing streams (main, testing, …) carry a ``STANDING``
status and never move through the table.
"""

from __future__ import annotations

from enum import StrEnum

from loki_hooks.errors import IllegalMoveError


class Status(StrEnum):
    PLANNED = "planned"
    QUEUED = "queued"
    PREPARING = "preparing"
    RUNNING = "running"
    READY = "ready"
    TESTING = "testing"
    PASSED = "passed"
    MERGING = "merging"
    MERGED = "merged"
    ARCHIVED = "archived"
    OPEN = "open"
    FAILED = "failed"
    ESCALATED = "escalated"
    STOPPED = "stopped"
    CONFLICTED = "conflicted"
    REJECTED = "rejected"
    PROPOSED = "proposed"
    KEPT = "kept"
    ABANDONED = "abandoned"
    ORCHESTRATING = "orchestrating"
    WATCHING = "watching"
    IDLE = "idle"


S = Status

STANDING = frozenset({S.ORCHESTRATING, S.WATCHING, S.IDLE})
ENDED = frozenset({S.MERGED, S.ARCHIVED, S.KEPT, S.ABANDONED})
"""Nothing will happen to these by itself, and `running` work on them is over."""
LIVING = frozenset(Status) - STANDING - ENDED
IN_SESSION = frozenset({S.PREPARING, S.RUNNING})
IN_TRAIN = frozenset({S.READY, S.TESTING, S.PASSED, S.MERGING})
NEEDS_PERSON = frozenset({S.FAILED, S.ESCALATED, S.CONFLICTED, S.REJECTED})
WAITS_FOR_SESSION = frozenset({S.PLANNED, S.QUEUED})
ON_ITS_WAY = WAITS_FOR_SESSION | IN_SESSION | IN_TRAIN | {S.PROPOSED}
"""Something of the work is still to come by itself, unless the reason says otherwise."""
HANDED_IN = IN_TRAIN | {S.CONFLICTED}
"""Its agent, or a person, said that it is ready."""
ENDED_UNDONE = frozenset({S.REJECTED, S.FAILED, S.STOPPED, S.ESCALATED})
MENDABLE = ENDED_UNDONE | {S.OPEN, S.PROPOSED}
"""New commits and FEATURE_READY make it ready (again)."""
RESUMABLE = ENDED_UNDONE | {S.CONFLICTED, S.KEPT, S.OPEN}
"""`resume` starts a session in it."""
SHOWS_STAGE = IN_SESSION | {S.QUEUED, S.FAILED, S.STOPPED, S.ESCALATED}
HAS_WORKTREE = LIVING - {S.PLANNED} | {S.MERGED}

_BY_HAND = frozenset({S.READY})
"""A person (or a supervising agent) mended the work and said so with FEATURE_READY."""

MOVES: dict[Status, frozenset[Status]] = {
    S.PLANNED: frozenset({S.QUEUED, S.OPEN, S.ESCALATED}),
    S.QUEUED: frozenset({S.PREPARING, S.STOPPED, S.ESCALATED}),
    S.PREPARING: frozenset({S.RUNNING, S.FAILED, S.ESCALATED, S.STOPPED}),
    S.RUNNING: frozenset({S.READY, S.FAILED, S.ESCALATED, S.STOPPED, S.QUEUED, S.IDLE}),  # queued: for its next stage
    S.OPEN: frozenset({S.READY, S.QUEUED}),
    S.READY: frozenset({S.TESTING, S.CONFLICTED, S.STOPPED}),
    S.TESTING: frozenset({S.PASSED, S.REJECTED, S.CONFLICTED, S.READY}),
    S.PASSED: frozenset({S.MERGING, S.PROPOSED, S.READY}),
    S.MERGING: frozenset({S.CONFLICTED, S.READY}),
    S.PROPOSED: _BY_HAND,
    S.CONFLICTED: frozenset({S.READY, S.QUEUED}),
    S.REJECTED: frozenset({S.QUEUED}) | _BY_HAND,
    S.FAILED: frozenset({S.QUEUED}) | _BY_HAND,
    S.STOPPED: frozenset({S.QUEUED}) | _BY_HAND,
    S.ESCALATED: frozenset({S.PLANNED, S.QUEUED}) | _BY_HAND,  # planned: nothing of it was made yet
    S.MERGED: frozenset({S.ARCHIVED}),
    S.KEPT: frozenset({S.ARCHIVED, S.QUEUED}) | _BY_HAND,
    S.ABANDONED: frozenset({S.ARCHIVED}),
    S.ARCHIVED: frozenset({S.WATCHING, S.IDLE}),  # a stream that writes rests between its rounds
    S.ORCHESTRATING: frozenset(),
    S.WATCHING: frozenset({S.IDLE, S.RUNNING, S.QUEUED}),
    S.IDLE: frozenset({S.WATCHING, S.RUNNING, S.QUEUED}),
}
for _living in LIVING:  # any living one may be seen merged in git, kept or abandoned by a person
    MOVES[_living] |= {S.MERGED, S.KEPT, S.ABANDONED}

for _handed_in in (S.READY, S.TESTING, S.PASSED, S.MERGING, S.CONFLICTED):
    MOVES[_handed_in] |= {S.OPEN}  # its branch was made anew by somebody who has not said that it is ready

for _quiet in (S.OPEN, S.READY, S.TESTING, S.FAILED, S.STOPPED, S.REJECTED, S.ESCALATED, S.CONFLICTED, S.KEPT):
    MOVES[_quiet] |= {S.PROPOSED}  # a person opens a pull request: what is not tested here is tested there

WORDS: dict[Status, str] = {
    S.PLANNED: "planned",
    S.QUEUED: "waits for a free place",
    S.PREPARING: "being set up",
    S.RUNNING: "agent at work",
    S.READY: "ready to merge",
    S.TESTING: "being tested",
    S.PASSED: "tests passed",
    S.MERGING: "landing",
    S.MERGED: "merged",
    S.ARCHIVED: "archived",
    S.OPEN: "open, no session",
    S.FAILED: "session failed",
    S.ESCALATED: "needs a person",
    S.STOPPED: "stopped",
    S.CONFLICTED: "conflicts",
    S.REJECTED: "tests failed",
    S.PROPOSED: "pull request open",
    S.KEPT: "kept",
    S.ABANDONED: "abandoned",
    S.ORCHESTRATING: "orchestrating",
    S.WATCHING: "watching",
    S.IDLE: "idle",
}


def parse_status(text: object) -> Status | None:
    """Return the status called ``text``, or None for anything else (an older or foreign writer's word)."""
    try:
        return Status(str(text))
    except ValueError:
        return None


def legal(old: Status, new: Status) -> bool:
    """Return whether the table has the move (staying is always legal)."""
    return old == new or new in MOVES[old]


def move(stream: str, old: Status, new: Status) -> Status:
    """Return ``new`` if the table has the move, else raise ``IllegalMoveError``."""
    if not legal(old, new):
        raise IllegalMoveError(f"the stream {stream} cannot go from {old} to {new}")
    return new
