"""What failed, how often, and when it is tried again: ever more seldom. After ``GIVE_UP`` times a person is asked. Pure.

Kept in a stream's record under ``failures``: what failed → {times, not_before, reason}. What failed is a step (its
word), or ``look``: its worktree or branch could not be looked at. Steps about the integration branch, and the chores of a
pass, are kept in the record of the stream ``main``, with what they were about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GIVE_UP = 3
LOOK = "look"
DELAYS = (10.0, 60.0, 600.0, 3600.0)
"""Seconds until what failed once, twice, … is tried again."""
_MOST = 50
_LONGEST = 300


@dataclass(frozen=True)
class Failure:
    """``times``: how often in a row; ``not_before``: UTC ISO 8601; ``reason``: the last one, in words."""

    times: int
    not_before: str
    reason: str


def delay_after(times: int) -> float:
    """Return the seconds to wait after so many failures in a row."""
    return DELAYS[min(max(times, 1), len(DELAYS)) - 1]


def in_words(error: BaseException) -> str:
    """Return what went wrong as one short line: a path that is too long may be in it, so its middle is left out."""
    message = getattr(error, "message", None)
    text = message if isinstance(message, str) else f"{type(error).__name__}: {error}"
    line = " ".join(text.split())
    half = _LONGEST // 2
    return line if len(line) <= _LONGEST else f"{line[:half]} … {line[-half:]}"


def with_failure(failures: Mapping[str, Failure], what: str, failure: Failure) -> dict[str, Failure]:
    """Return the failures with a new one; of very many only the newest stay."""
    others = {key: there for key, there in failures.items() if key != what}
    return dict([*others.items(), (what, failure)][-_MOST:])


def to_json(failures: Mapping[str, Failure]) -> dict[str, dict[str, Any]]:
    return {what: {"times": f.times, "not_before": f.not_before, "reason": f.reason} for what, f in failures.items()}


def from_json(value: object) -> dict[str, Failure]:
    """Return the failures in ``value``; what is none is passed over."""
    found = {}
    for what, entry in value.items() if isinstance(value, Mapping) else ():
        if not isinstance(what, str) or not isinstance(entry, Mapping):
            continue
        times, not_before, reason = entry.get("times"), entry.get("not_before"), entry.get("reason")
        if type(times) is int and times > 0 and isinstance(not_before, str) and isinstance(reason, str):
            found[what] = Failure(times, not_before, reason)
    return found
