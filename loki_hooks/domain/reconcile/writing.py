"""The streams that write what landed: when a round of theirs begins, is over, and rests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from loki_hooks.domain.reconcile.base import MainStep, StreamStep
from loki_hooks.domain.reconcile.facts import Facts
from loki_hooks.domain.streams.status import Status


@dataclass(frozen=True)
class CloseItems(StreamStep):
    """Close the items of a round that landed."""

    word: ClassVar[str] = "settle"


@dataclass(frozen=True)
class Rest(MainStep):
    """Have the writer of this kind rest: ``watching`` for items, or ``idle``."""

    word: ClassVar[str] = "rest"
    kind: str
    status: Status

    @property
    def target(self) -> str:
        return self.kind

    @property
    def subject(self) -> str:
        return self.kind


@dataclass(frozen=True)
class Begin(MainStep):
    """Have a round of the writer of this kind begin, for the items that wait: so many."""

    word: ClassVar[str] = "begin"
    kind: str
    items: int

    @property
    def target(self) -> str:
        return self.kind

    @property
    def subject(self) -> str:
        return self.kind


def close_items(facts: Facts) -> Iterator[CloseItems]:
    """Close the items of the rounds that landed."""
    for s in facts.streams:
        if s.record.status is Status.MERGED and s.record.items:
            yield CloseItems(s.record.stream)


def writers(facts: Facts) -> Iterator[Rest | Begin]:
    """Have a round begin where items wait, and a writer rest where there is nothing to write."""
    for writer in facts.writers:
        if writer.resting is not None:
            yield Rest(writer.kind, writer.resting)
        elif writer.begins and facts.processed == facts.tip and not facts.untrusted and facts.room_for_worktree:
            yield Begin(writer.kind, writer.waiting)
