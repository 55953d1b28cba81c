"""What of our own records has expired: by age, and by count. Pure.

An entry is due when it is older than the retention, or when more than the limit of its kind are newer. 0 days: nothing
expires by age; the limits hold. One reading of the clock proves no age (a clock may jump): an entry goes when it was due
at ``LOOKS`` looks in a row, a day apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

LIMITS: Mapping[str, int] = {"trash": 1000, "archive": 1000, "gates": 20_000, "done": 20_000, "logs": 2000}
"""How many of each kind are kept at most, however young (README, "Retention")."""
LOOKS = 3
_STAMP = re.compile(r"(?:^|[-/])(\d{8}T\d{12}Z)$")


@dataclass(frozen=True)
class Retained:
    """One entry: its name, and its age in days (None: unknown, which counts as new)."""

    name: str
    days: float | None


def expired(
    entries: Iterable[Retained], *, days: int, most: int, needed: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """Return the names of the entries that go. What is ``needed`` never does."""
    youngest_first = sorted(entries, key=lambda e: (e.days if e.days is not None else 0.0, e.name))
    return tuple(
        entry.name
        for place, entry in enumerate(youngest_first)
        if entry.name not in needed and (place >= most or (days > 0 and entry.days is not None and entry.days > days))
    )


def due_for_long(due: Iterable[str], before: Mapping[str, int]) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the names that go now, and how often in a row each of the others was due. ``before``: the same at the last look."""
    counted = {name: before.get(name, 0) + 1 for name in due}
    gone = tuple(name for name, looks in counted.items() if looks >= LOOKS)
    return gone, {name: looks for name, looks in counted.items() if looks < LOOKS}


def age_of_stamp(text: str, now: datetime) -> float | None:
    """Return how many days before ``now`` the stamp that ends ``text`` (``…-20261120T201500123456Z``) is, or None."""
    found = _STAMP.search(text)
    try:
        then = datetime.strptime(found[1].removesuffix("Z") + "+0000", "%Y%m%dT%H%M%S%f%z") if found else None
    except ValueError:
        return None
    return (now - then).total_seconds() / 86400 if then is not None else None
