"""What of our own records has expired: by age, and by count. Pure.

An entry goes when it is older than the retention, or when more than the limit of its kind are newer. 0 days: nothing
expires by age; the limits hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

LIMITS: Mapping[str, int] = {"trash": 1000, "archive": 1000, "gates": 20_000, "done": 20_000, "logs": 2000}
"""How many of each kind are kept at most, however young (README, "Retention")."""


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


def age_of_stamp(text: str, now: datetime) -> float | None:
    """Return how many days before ``now`` the stamp that ends ``text`` (``…-20261120T201500123456Z``) is, or None."""
    stamp = text.rpartition("-")[2].rpartition("/")[2]
    try:
        then = datetime.strptime(stamp.removesuffix("Z") + "+0000", "%Y%m%dT%H%M%S%f%z")
    except ValueError:
        return None
    return (now - then).total_seconds() / 86400
