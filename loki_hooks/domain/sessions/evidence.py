"""Signs of life: what a session's processes, files, commits and log say of it, and what follows from that.

A session tells nobody that it is stuck. What is inferred here says from what.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

RECENT = 30.0
"""Seconds: a younger sign means that it is at work."""
BUSY = 2.0
"""Percent of one processor."""


@dataclass(frozen=True)
class Sign:
    """Something seen: what (a path, a commit, a line), when (UTC ISO 8601), how many seconds ago."""

    what: str
    at: str
    age: float

    def to_json(self) -> dict[str, Any]:
        return {"what": self.what, "at": self.at, "age_seconds": round(self.age, 1)}


@dataclass(frozen=True)
class Evidence:
    """``processes`` live in the session's tree (its runner apart), with ``cpu`` percent of one processor in the last
    moment (None: not measured) and ``memory`` bytes. The signs are None where there is nothing yet."""

    runner_alive: bool
    processes: int = 0
    cpu: float | None = None
    memory: int | None = None
    change: Sign | None = None
    commit: Sign | None = None
    line: Sign | None = None

    def to_json(self) -> dict[str, Any]:
        activity = infer(self)
        return {
            "runner_alive": self.runner_alive,
            "processes": self.processes,
            "cpu_percent": self.cpu,
            "memory_bytes": self.memory,
            **{
                name: sign.to_json() if sign else None
                for name, sign in (("last_change", self.change), ("last_commit", self.commit), ("last_line", self.line))
            },
            "activity": {"state": activity.state, "inferred_from": list(activity.sources)},
        }


@dataclass(frozen=True)
class Activity:
    """``state`` is ``working``, ``quiet``, ``starting`` or ``gone``; ``sources`` are what that was inferred from."""

    state: str
    sources: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.state}: {', '.join(self.sources)}"


def infer(seen: Evidence) -> Activity:
    """Return what the signs say."""
    if not seen.runner_alive:
        return Activity("gone", ("its runner does not live",))
    signs = [
        (sign, name)
        for sign, name in ((seen.line, "output"), (seen.change, "a file changed"), (seen.commit, "a commit"))
        if sign is not None
    ]
    counted = f"{seen.processes} process{'es' if seen.processes != 1 else ''}"
    load = [] if seen.cpu is None else [f"CPU {seen.cpu:.0f} %"]
    if seen.processes == 0:
        return Activity("starting", ("its runner lives, its agent does not run",))
    recent = [f"{name} {shown_age(sign.age)} ago" for sign, name in signs if sign.age < RECENT]
    if recent or (seen.cpu is not None and seen.cpu >= BUSY):
        return Activity("working", (counted, *load, *recent))
    last = min((sign.age for sign, _ in signs), default=None)
    silence = (
        "no output, no change and no commit yet"
        if last is None
        else f"no output, change or commit for {shown_age(last)}"
    )
    return Activity("quiet", (counted, *load, silence))


def shown_age(seconds: float) -> str:
    """Return an age as people say it: ``4 s``, ``12 min``, ``3 h``, ``2 d``."""
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{max(0, int(seconds / size))} {unit}"
    return f"{int(seconds / 86400)} d"
