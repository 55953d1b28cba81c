"""When a snapshot of a worktree is believed, how often one is made, and which untracked files fit into it. Pure.

A worktree that is being deleted looks like one in which somebody deletes files. So files that the snapshot before had,
and that nobody told git to forget, are believed to be gone only when the same ones have been missing for a while:
``SETTLE`` seconds, or ``LONG`` where they are more than half of all. Whoever deletes a worktree is done by then, and
the worktree gone. Till then the snapshot before stays; after ``WAIT`` seconds of doubt it gets what is new, and keeps
what is missing.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

SETTLE = 5.0
WAIT = 15.0
LONG = 600.0
KEEP = 3600.0
"""For so many seconds the fuller snapshot stays reachable from those that lack some of its files."""
RENEW = 5.0
SHARE = 20.0
BYTES = 100_000.0
SLOWEST = 300.0
"""A session's worktree is looked at every ``RENEW`` seconds, or as much more seldom as a look costs (a ``SHARE``-th of the
time) and as new content is large (``BYTES`` a second), but every ``SLOWEST`` seconds."""


class Trust(Enum):
    """What becomes of a look: it is believed; the snapshot before stays; or it is believed but for what is missing."""

    WHOLE = "whole"
    NOT_YET = "not yet"
    BUT_FOR_MISSING = "but for what is missing"


@dataclass(frozen=True)
class Doubt:
    """``mark`` tells what is missing from anything else; so since ``since``, something since ``first`` (seconds)."""

    mark: str
    since: float
    first: float


def judge(before: Doubt | None, missing: Collection[str], of: int, at: float) -> tuple[Trust, Doubt | None]:
    """Return how far the worktree as it is at ``at`` may be believed, and the doubt that stays.

    ``missing``: what it lacks of the ``of`` files that it had; ``before``: the doubt that stayed the last time.
    """
    if not missing:
        return Trust.WHOLE, None
    mark = hashlib.sha256("\0".join(sorted(missing)).encode("utf-8", "surrogateescape")).hexdigest()
    first = before.first if before is not None and before.first <= at else at
    since = before.since if before is not None and before.mark == mark and before.since <= at else at
    if at - since >= (LONG if 2 * len(missing) > of else SETTLE):
        return Trust.WHOLE, None
    return Trust.NOT_YET if at - first < WAIT else Trust.BUT_FOR_MISSING, Doubt(mark, since, first)


def pause(cost: float, took: float, size: int) -> float:
    """Return how many seconds to wait after a look that cost so many seconds of processor time, ``took`` so many, and
    stored ``size`` bytes. (On a busy machine a look takes long and costs no more.)"""
    return min(max(RENEW, cost * SHARE, took, size / BYTES), SLOWEST)


def fitting(paths: Sequence[str], most: int) -> tuple[str, ...]:
    """Return at most ``most`` of the paths, in their order: without the folders that have the most of them.

    A folder is a path's first part. One dump of files must not cost those that somebody wrote.
    """
    if len(paths) <= most:
        return tuple(paths)
    sizes = Counter(path.partition("/")[0] for path in paths if "/" in path)
    left = len(paths)
    dropped = set()
    for folder, size in sorted(sizes.items(), key=lambda entry: (-entry[1], entry[0])):
        if left <= most:
            break
        dropped.add(folder)
        left -= size
    return tuple(path for path in paths if path.partition("/")[0] not in dropped or "/" not in path)[:most]
