"""The verdict over all streams: what a supervising person or agent should do next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from loki_hooks.domain.advice import one_line
from loki_hooks.domain.reconcile.landing import NO_GATE
from loki_hooks.domain.reconcile.train import BY_HAND, PRE_EXISTING
from loki_hooks.domain.streams.record import StreamRecord, waits_for_person
from loki_hooks.domain.streams.status import NEEDS_PERSON, ON_ITS_WAY

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


_FOR_PERSONS = (PRE_EXISTING, NO_GATE, BY_HAND)


def judge_streams(records: Iterable[StreamRecord]) -> Verdict:
    """Return the verdict: PIVOT when the same work keeps failing, ESCALATE when only a person can go on,
    CONTINUE while something is on its way, COMPLETE when nothing is left.
    """
    living = [r for r in records if not r.standing]
    again = [r for r in living if r.rejections >= REJECTIONS_TO_PIVOT]
    if again:
        return Verdict(Word.PIVOT, tuple(f"{r.stream}: its tests failed {r.rejections} times" for r in again))
    stuck = tuple(_said(r) for r in living if _needs_person(r))
    active = tuple(_said(r) for r in living if r.status in ON_ITS_WAY and not _needs_person(r))
    if active:
        return Verdict(Word.CONTINUE, active + stuck)
    if stuck:
        return Verdict(Word.ESCALATE, stuck)
    return Verdict(Word.COMPLETE, ("nothing is left to do",))


def _needs_person(record: StreamRecord) -> bool:
    """Whether nothing moves the stream but a person's doing."""
    waits = record.status in ON_ITS_WAY and record.reason.startswith(_FOR_PERSONS)
    return record.status in NEEDS_PERSON or waits or (record.status in ON_ITS_WAY and waits_for_person(record))


def _said(record: StreamRecord) -> str:
    reason = one_line(record.reason)
    return f"{record.stream}: {record.status}{f', {reason}' if reason else ''}"
