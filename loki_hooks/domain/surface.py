"""What code offers to others (its *surface*), and how two versions of it differ.

A reader per language (``surface/``) turns sources into things; here they are compared. Formatting, private names and
tests never become things, so they cannot become changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Aspect(StrEnum):
    """Which promise a thing is; the first part of a docs item's ``trigger``."""

    PUBLIC = "public"
    ENDPOINT = "endpoint"
    CONFIG = "config"


class What(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True)
class Thing:
    """One promise. ``name`` is what a document calls it: ``Client.get``, ``GET /users/{id}``, ``--timeout``, ``APP_DEBUG``.

    ``seen`` is all that a caller sees of it, in one spelling whatever the formatting: two things that are called
    the same and seen the same are the same thing.
    """

    aspect: Aspect
    name: str
    seen: str
    line: int


@dataclass(frozen=True)
class Change:
    """One difference. ``line`` is in the newer file (in the older for what was removed); ``before``/``after``: what was seen."""

    aspect: Aspect
    what: What
    symbol: str
    file: str
    line: int
    before: str = ""
    after: str = ""
    breaking: bool = False


@dataclass(frozen=True)
class Unread:
    """A file that could not be read, with the reason: it stays an item at file level.

    ``unknown``: nothing here reads its language, so that it could not be read is no surprise.
    """

    file: str
    reason: str
    unknown: bool = False


@dataclass(frozen=True)
class Compared:
    changes: tuple[Change, ...] = ()
    unread: tuple[Unread, ...] = ()


Breaks = Callable[[Thing, Thing], bool]


def compare(file: str, old: Mapping[str, Thing], new: Mapping[str, Thing], breaks: Breaks) -> list[Change]:
    """Return how the things of one file differ, in the order of the newer file; what was removed comes first.

    ``old`` and ``new`` are keyed by what makes a thing the same one (its aspect and name, at least). What is removed
    breaks its callers; of what changed, ``breaks`` says whether it does.
    """
    gone = [
        Change(t.aspect, What.REMOVED, t.name, file, t.line, before=t.seen, breaking=True)
        for key, t in old.items()
        if key not in new
    ]
    there = []
    for key, thing in new.items():
        before = old.get(key)
        if before is None:
            there.append(Change(thing.aspect, What.ADDED, thing.name, file, thing.line, after=thing.seen))
        elif before.seen != thing.seen:
            broken = breaks(before, thing)
            there.append(
                Change(thing.aspect, What.CHANGED, thing.name, file, thing.line, before.seen, thing.seen, broken)
            )
    return gone + there
