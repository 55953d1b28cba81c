"""The cap: how many sessions may run now. One pure function of the knobs, the snapshot and the configuration.

The knobs are environment variables, shared with upstream Loki Mode:

    LOKI_DYNAMIC_CONCURRENCY             exactly ``1``: the cap follows the load; anything else: it is fixed
    LOKI_MAX_PARALLEL_SESSIONS           the fixed cap (default: ``session.max`` of the configuration)
    LOKI_MAX_PARALLEL_SESSIONS_CEILING   where a dynamic cap starts (default: the former)
    LOKI_CONCURRENCY_CPU_THRESHOLD       CPU at or above this many percent halves (default 85)
    LOKI_CONCURRENCY_MEM_THRESHOLD       memory likewise (default 85)
    LOKI_CONCURRENCY_CRITICAL_THRESHOLD  either at or above this leaves one session (default 95)

A knob that is empty or blank is unset; blanks around a number are allowed; a number is ASCII digits, at least 1
for sessions and 0 to 100 for thresholds (0: always; 100: only when full). Anything else is named in a warning and
the default used: no typing error ever lifts the cap. A knob that has no effect is not judged.

The snapshot is the parsed ``state/resources.json``, which others write too, so no shape is relied on: what is not
a finite number is an unknown usage, and a machine of which nothing is known gets the ceiling.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from loki_hooks.domain.names import shown

DYNAMIC = "LOKI_DYNAMIC_CONCURRENCY"
FIXED = "LOKI_MAX_PARALLEL_SESSIONS"
CEILING = "LOKI_MAX_PARALLEL_SESSIONS_CEILING"
CPU = "LOKI_CONCURRENCY_CPU_THRESHOLD"
MEMORY = "LOKI_CONCURRENCY_MEM_THRESHOLD"
CRITICAL = "LOKI_CONCURRENCY_CRITICAL_THRESHOLD"

_BLANKS = " \t\r\n\f\v"
_MAX_DIGITS = 18
"""More is a slip of the keyboard, and would be no cap at all."""


@dataclass(frozen=True)
class Thresholds:
    """Percentages of CPU and memory from which a machine counts as pressed, or (either) as critical."""

    cpu: int = 85
    memory: int = 85
    critical: int = 95


@dataclass(frozen=True)
class CapDecision:
    """``cap`` sessions may run, of at most ``ceiling``, for ``reason``. ``cpu`` and ``memory`` are the percentages
    that were looked at; None: unknown, or not looked at. ``warnings`` are for a person to see."""

    cap: int
    dynamic: bool
    ceiling: int
    reason: str
    cpu: float | None
    memory: float | None
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the answer of `cap --json`."""
        return {
            "cap": self.cap,
            "dynamic": self.dynamic,
            "ceiling": self.ceiling,
            "reason": self.reason,
            "cpu": self.cpu,
            "memory": self.memory,
            "warnings": list(self.warnings),
        }


def is_dynamic(env: Mapping[str, str]) -> bool:
    """Return whether the cap follows the load. Where it does not, nothing needs to be read."""
    return env.get(DYNAMIC) == "1"


def thresholds_of(env: Mapping[str, str]) -> tuple[Thresholds, tuple[str, ...]]:
    """Return the thresholds that the knobs say, and a warning for each knob that cannot be meant."""
    warnings: list[str] = []
    default = Thresholds()
    found = Thresholds(
        cpu=_knob(env, CPU, default.cpu, warnings, 0, 100),
        memory=_knob(env, MEMORY, default.memory, warnings, 0, 100),
        critical=_knob(env, CRITICAL, default.critical, warnings, 0, 100),
    )
    return found, tuple(warnings)


def decide_cap(env: Mapping[str, str], snapshot: object, session_max: int) -> CapDecision:
    """Return how many sessions may run, always within 1 and the ceiling.

    ``snapshot`` is the parsed ``state/resources.json`` or None; it is not looked at unless ``is_dynamic(env)``.
    ``session_max`` is the configured cap, in force where the environment does not say.
    """
    warnings: list[str] = []
    fixed = _knob(env, FIXED, max(1, session_max), warnings, 1)
    if not is_dynamic(env):
        return CapDecision(fixed, False, fixed, f"fixed at {fixed} ({DYNAMIC} is not 1)", None, None, tuple(warnings))
    ceiling = _knob(env, CEILING, fixed, warnings, 1)
    thresholds, more = thresholds_of(env)
    cpu, memory = _usage(snapshot, "cpu"), _usage(snapshot, "memory")
    status = _status(snapshot)
    critical = _reached(cpu, thresholds.critical, memory, thresholds.critical)
    pressed = _reached(cpu, thresholds.cpu, memory, thresholds.memory)
    if critical:
        cap, reason = 1, f"critical: {critical}"
    elif pressed:
        cap, reason = ceiling // 2, f"half of {ceiling}: {pressed}"
    elif status not in (None, "ok"):
        cap, reason = ceiling // 2, f"half of {ceiling}: the snapshot's overall_status is {shown(str(status), 40)}"
    elif cpu is None and memory is None:
        cap, reason = ceiling, f"the ceiling {ceiling}: nothing is known of the load"
    else:
        cap, reason = ceiling, f"the ceiling {ceiling}: CPU {_percent(cpu)} and memory {_percent(memory)} leave room"
    return CapDecision(max(1, min(cap, ceiling)), True, ceiling, reason, cpu, memory, (*warnings, *more))


def _knob(
    env: Mapping[str, str], name: str, default: int, warnings: list[str], low: int, high: int | None = None
) -> int:
    text = env.get(name, "").strip(_BLANKS)
    if not text:
        return default
    digits = text.lstrip("0") or "0"
    if text.isascii() and text.isdigit() and len(digits) <= _MAX_DIGITS:
        number = int(digits)
        if number >= low and (high is None or number <= high):
            return number
    meant = f"a whole number from {low} to {high}" if high is not None else f"a whole number of {low} or more"
    warnings.append(f"{name}={shown(text, 40)} is not {meant}: {default} is used")
    return default


def _usage(snapshot: object, part: str) -> float | None:
    """Return ``snapshot[part]["usage_percent"]``, or None unless it is a finite number (true and false are none)."""
    entry = snapshot.get(part) if isinstance(snapshot, dict) else None
    value = entry.get("usage_percent") if isinstance(entry, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _status(snapshot: object) -> object:
    """Return what the snapshot says of the whole machine; None: nothing (an absent key, or null)."""
    return snapshot.get("overall_status") if isinstance(snapshot, dict) else None


def _reached(cpu: float | None, cpu_limit: int, memory: float | None, memory_limit: int) -> str:
    """Return which usages are at or above their limits, in words; '' when none is. Whole parts compare."""
    found = []
    for name, usage, limit in (("CPU", cpu, cpu_limit), ("memory", memory, memory_limit)):
        if usage is not None and int(usage) >= limit:
            found.append(f"{name} {_percent(usage)} is at or above {limit} %")
    return ", ".join(found)


def _percent(usage: float | None) -> str:
    return "unknown" if usage is None else f"{usage:.10g} %"


@dataclass(frozen=True)
class Footprints:
    """The memory of the sessions that run (bytes each, their whole process trees) and what the machine has left for us."""

    sessions: tuple[int, ...]
    available: int


def lowered_for_memory(decision: CapDecision, seen: Footprints) -> CapDecision:
    """Return the decision, lowered to what fits: every session may become as large as the largest one is now.

    Only with the dynamic cap, and never below 1. Where no session runs nothing is known of what one needs.
    """
    largest = max(seen.sessions, default=0)
    if not decision.dynamic or largest <= 0:
        return decision
    growth = sum(largest - size for size in seen.sessions)
    more = max(0, seen.available - growth) // largest
    fitting = max(1, len(seen.sessions) + more)
    if fitting >= decision.cap:
        return decision
    reason = (
        f"{fitting} fit in memory: a session takes up to {_mebibytes(largest)}, {_mebibytes(seen.available)} are free; "
        f"without that {decision.reason}"
    )
    return replace(decision, cap=fitting, reason=reason)


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"
