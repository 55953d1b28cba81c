"""The time until which a provider says that a limit lasts, as the programs of agents print it.

    …|1763659200                                     seconds since 1970 after a bar (Claude Code's own way)
    resets 3:12am (America/Sao_Paulo), try again at 15:42, resets Oct 5, 3am (UTC), reset at Mon 3pm
    2026-12-01T03:00:00Z
    try again in 2 days 3 hours 12 minutes, retry after 30 seconds, reset after 2h15m3s, retryDelay: "39s"

A time of day without a zone is the machine's own.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

LONGEST = 7 * 86400.0
"""A provider that names a time is believed for a week at most."""
JUST_OVER = 900.0
"""Seconds: a time of day that was so short a while ago has passed, and is not tomorrow's."""
_SINCE_1970 = re.compile(r"\|(1[0-9]{9})\b")
_ISO = re.compile(r"\b(20\d\d-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)")
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_PART = r"(\d+(?:\.\d+)?)\s*(days?|d|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)(?![a-z])"
_SPAN = re.compile(
    rf"(?:\bin|\bafter|retry-?after\W{{1,3}}|retrydelay\W{{1,4}})\s*((?:{_PART}[\s,]*(?:and\s+)?)+)", re.IGNORECASE
)
_AFTER = re.compile(r"retry[- ]after\W{1,3}(\d+)\s*$", re.IGNORECASE)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(
    r"(?:\bresets?|\bavailable|\bagain|\bback|\buntil)\s+(?:at\s+|on\s+|by\s+)?"
    rf"(?:(?:(?P<day>{'|'.join(_DAYS)})[a-z]*|(?P<month>{'|'.join(_MONTHS)})[a-z]*\.?\s+(?P<date>\d\d?)(?:st|nd|rd|th)?"
    r"(?:,?\s+(?P<year>20\d\d))?),?\s+(?:at\s+)?)?"
    r"(?P<hour>\d\d?)(?::(?P<minute>\d\d))?\s*(?P<half>[ap]\.?m\b\.?)?(?:\s*\(?(?P<zone>[A-Z][A-Za-z_]+(?:/[A-Za-z_+-]+)*)\)?)?",
    re.IGNORECASE,
)


def seconds_until_named(said: str, now: float) -> float | None:
    """Return how long the limit lasts by what was said, None where no time is named that is still to come.

    ``now``: seconds since 1970.
    """
    for read in (_of_1970, _of_iso, _of_span, _of_clock):
        until = read(said, now)
        if until is not None:
            return until if 0 < until <= LONGEST else None
    return None


def _of_1970(said: str, now: float) -> float | None:
    found = _SINCE_1970.search(said)
    return float(found[1]) - now if found else None


def _of_iso(said: str, now: float) -> float | None:
    found = _ISO.search(said)
    try:
        at = datetime.fromisoformat(found[1]) if found else None
    except ValueError:
        return None
    if at is None:
        return None
    return (at if at.tzinfo else at.astimezone()).timestamp() - now


def _of_span(said: str, now: float) -> float | None:  # noqa: ARG001  it is from now on
    found = _SPAN.search(said)
    if found is None:
        after = _AFTER.search(said)
        return float(after[1]) if after else None
    return sum(float(number) * _UNITS[unit[0].lower()] for number, unit in re.findall(_PART, found[1], re.IGNORECASE))


def _of_clock(said: str, now: float) -> float | None:
    found = _CLOCK.search(said)
    if found is None or not (found["half"] or found["minute"]):
        return None
    here = datetime.fromtimestamp(now, UTC).astimezone(_zone(found["zone"]))
    hour = int(found["hour"])
    if found["half"]:
        hour = hour % 12 + (12 if found["half"][0] in "pP" else 0)
    try:
        at = here.replace(hour=hour, minute=int(found["minute"] or 0), second=0, microsecond=0)
        if found["month"]:
            month = _MONTHS.index(found["month"][:3].lower()) + 1
            at = at.replace(year=int(found["year"] or at.year), month=month, day=int(found["date"]))
    except ValueError:
        return None
    if found["day"]:
        at += timedelta(days=(_DAYS.index(found["day"][:3].lower()) - at.weekday()) % 7)
    over = (here - at).total_seconds()
    if over > JUST_OVER:
        at = at.replace(year=at.year + 1) if found["month"] and not found["year"] else at
        at += timedelta(days=0 if found["month"] else 7 if found["day"] else 1)
    return at.timestamp() - now


def _zone(name: str | None) -> tzinfo | None:
    """Return the zone of that name, None (the machine's own) where none is known."""
    from zoneinfo import ZoneInfo

    if not name or name.lower() in {"am", "pm"}:
        return None
    if name.upper() in {"UTC", "GMT", "Z"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None
