"""The verdict over all streams: what a supervising person or agent should do next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import NEEDS_PERSON, Status

REJECTIONS_TO_PIVOT = 3


class Word(StrEnum):
    CONTINUE = "CONTINUE"
    COMPLETE = "COMPLETE"
    ESCALATE = "ESCALATE"
    PIVOT = "PIVOT"


@dataclass(frozen=True)
class Verdict:
    word: Word
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {"verdict": self.word.value, "reasons": list(self.reasons)}


_ACTIVE = frozenset(
    {
        Status.PLANNED,
        Status.QUEUED,
        Status.PREPARING,
        Status.RUNNING,
        Status.TESTING,
        Status.PASSED,
        Status.MERGING,
        Status.READY,
        Status.PROPOSED,
    }
)


def judge_streams(records: Iterable[StreamRecord]) -> Verdict:
    """Return the verdict: PIVOT when the same work keeps failing, ESCALATE when only a person can go on,
    CONTINUE while something is on its way, COMPLETE when nothing is left.
    """
    living = [r for r in records if not r.standing]
    again = [r for r in living if r.rejections >= REJECTIONS_TO_PIVOT]
    if again:
        return Verdict(Word.PIVOT, tuple(f"{r.stream}: its tests failed {r.rejections} times" for r in again))
    stuck = tuple(
        f"{r.stream}: {r.status}{f', {r.reason}' if r.reason else ''}" for r in living if r.status in NEEDS_PERSON
    )
    active = tuple(
        f"{r.stream}: {r.status}{f', {r.reason}' if r.reason else ''}" for r in living if r.status in _ACTIVE
    )
    if active:
        return Verdict(Word.CONTINUE, active + stuck)
    if stuck:
        return Verdict(Word.ESCALATE, stuck)
    return Verdict(Word.COMPLETE, ("nothing is left to do",))
