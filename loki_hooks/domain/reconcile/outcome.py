"""What becomes of a step: it is done, it waits, or it failed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Went(StrEnum):
    DONE = "done"
    WAITS = "waits"
    FAILED = "failed"


@dataclass(frozen=True)
class StepOutcome:
    """What became of a step. ``retry_after``: after how many seconds what failed is tried again."""

    how: Went
    reason: str = ""
    retry_after: float = 0.0


DONE = StepOutcome(Went.DONE)


def done(reason: str) -> StepOutcome:
    return StepOutcome(Went.DONE, reason)


def waits(reason: str) -> StepOutcome:
    return StepOutcome(Went.WAITS, reason)


def failed(reason: str, retry_after: float = 0.0) -> StepOutcome:
    return StepOutcome(Went.FAILED, reason, retry_after)
