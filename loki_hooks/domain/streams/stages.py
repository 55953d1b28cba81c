"""The stages of a task: each is a session of its own in the stream's worktree, one after the other.

``analyze`` leaves a plan (`.loki/PLAN.md` of the worktree), which goes into the prompt of the next; ``build`` does the
work; ``review`` looks at the difference, may mend it, and may say no (the signal REVIEW_FAILED in its worktree). A stream's
record names the stage that its session is in, or the next one shall be in.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Literal

from loki_hooks.domain.streams.status import Status

Stage = Literal["analyze", "build", "review"]
ANALYZE: Final = "analyze"
BUILD: Final = "build"
REVIEW: Final = "review"
STAGES: tuple[Stage, ...] = (ANALYZE, BUILD, REVIEW)
PLAN_FILE = "PLAN.md"


def is_order(stages: Sequence[str]) -> bool:
    """Return whether these are stages, at least one, none twice, in the order in which they make sense."""
    places = [STAGES.index(stage) if stage in STAGES else -1 for stage in stages]
    return bool(places) and places[0] >= 0 and all(a < b for a, b in pairwise(places))


def stage_now(stages: Sequence[str], stage: str) -> str:
    """Return the stage that a session of the stream is in: the recorded one, else the first."""
    return stage if stage in STAGES else stages[0]


def stage_after(stages: Sequence[str], stage: str) -> str:
    """Return the stage that follows, '' after the last. What the configuration no longer names is passed over."""
    place = STAGES.index(stage_now(stages, stage))
    return next((s for s in stages if STAGES.index(s) > place), "")


def stage_to_resume(stages: Sequence[str], stage: str, status: Status, *, refused: bool) -> str:
    """Return the stage to go on with: the one that failed, or was stopped.

    Work that was found wanting (by its tests, in a merge, by its review: ``refused``) is to be built on first.
    """
    wanting = refused or status in {Status.REJECTED, Status.CONFLICTED}
    now = stage_now(stages, stage)
    return BUILD if wanting and now == REVIEW and BUILD in stages else now


def shown_stage(stages: Sequence[str], stage: str) -> str:
    """Return the stage for people, '' where there is only one: ``review, 3 of 3``."""
    if len(stages) < 2:
        return ""
    now = stage_now(stages, stage)
    return f"{now}, {stages.index(now) + 1} of {len(stages)}" if now in stages else now
