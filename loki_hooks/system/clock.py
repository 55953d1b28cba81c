"""The clock: times as every file of ours writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def now() -> str:
    """Return the time as UTC ISO 8601 with microseconds and ``Z`` (sorts as text)."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def later(seconds: float) -> str:
    """Return the time in so many seconds, written as ``now`` does."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def stamp() -> str:
    """Return the time as a path and ref component: ``20261120T201500123456Z``."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")


def seconds_since(text: str) -> float | None:
    """Return how many seconds ago ``text`` (ISO 8601) was, or None when it is no time."""
    try:
        then = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return (datetime.now(UTC) - then).total_seconds()
