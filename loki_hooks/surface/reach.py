"""What can be imported from more than one place: re-exports, and files that move behind them.

A declaration (its *origin*) can be reached where it stands, and through each module that hands it on (a *barrel*). A name that
a barrel hands on is called as the barrel calls it; while it can be reached there as before, its own file is nobody's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from loki_hooks.domain.surface import Change, What
from loki_hooks.surface.pool import Key, Offer, difference
from loki_hooks.surface.shape import Shape

ELSEWHERE = Shape("re-export")
"""What is handed on from a file that is not at hand."""


@dataclass(frozen=True)
class Reach:
    """An offer as it can be imported from one place; ``barrel``: the file that hands it on, at ``line``, '' where it is its own."""

    offer: Offer
    origin: Key
    barrel: str = ""
    line: int = 0


def reach_difference(before: dict[Key, Reach], after: dict[Key, Reach]) -> Iterator[Change]:
    """Yield each difference once, whatever number of places it can be seen from."""
    kept = _behind_barrels(before, after)
    found: dict[tuple[What, Key, str], tuple[Change, bool]] = {}
    handed_on = set()
    for key, change in _changes(before, after):
        reach = (before if change.what is What.REMOVED else after)[key]
        if reach.barrel:
            handed_on.add((change.what, reach.origin))
        elif change.what is not What.CHANGED and (change.what, reach.origin) in kept:
            continue
        told = change
        if reach.barrel and change.what is What.REMOVED and _still_there(reach, after):
            told = replace(change, file=reach.barrel, line=reach.line)
        found.setdefault((change.what, reach.origin, change.symbol if reach.barrel else ""), (told, bool(reach.barrel)))
    for (what, origin, _), (change, by_barrel) in found.items():
        if by_barrel or (what, origin) not in handed_on:
            yield change


def _changes(before: dict[Key, Reach], after: dict[Key, Reach]) -> Iterator[tuple[Key, Change]]:
    unknown = {key for side in (before, after) for key, reach in side.items() if reach.offer.shapes == (ELSEWHERE,)}
    skipped = unknown & before.keys() & after.keys()
    skipped |= {key for side in (before, after) for key, reach in side.items() if reach.offer.owner in skipped}
    old, new = ({key: reach.offer for key, reach in side.items() if key not in skipped} for side in (before, after))
    yield from difference(old, new)


def _behind_barrels(before: dict[Key, Reach], after: dict[Key, Reach]) -> set[tuple[What, Key]]:
    """Return what came or went where it is declared, while a barrel offers it as before."""
    kept = set()
    for what, here, there in ((What.REMOVED, before, after), (What.ADDED, after, before)):
        kept |= {(what, reach.origin) for key, reach in here.items() if reach.barrel and key in there}
    return kept


def _still_there(reach: Reach, after: dict[Key, Reach]) -> bool:
    return any(other.origin == reach.origin for other in after.values())
