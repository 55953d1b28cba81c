"""``state/events.jsonl``: append-only, one line per thing that happened.

Appended with one write(2) in O_APPEND mode, so lines of many processes never mix. A report, a timeline and
"why was this removed?" are drawn from here. Control characters are escaped; what stands in its place and is no file
is moved aside.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from loki_hooks.domain.secrets import without_credentials
from loki_hooks.errors import LokiError
from loki_hooks.system.clock import now
from loki_hooks.system.files import MAX_BYTES, open_log, read_plain
from loki_hooks.system.json import visible_json
from loki_hooks.system.site import Site


def record(
    site: Site,
    event: str,
    stream: str = "",
    *,
    commit: str = "",
    detail: str = "",
    evidence: Mapping[str, Any] | None = None,
) -> None:
    """Append one event. A log that cannot be written is no reason to stop: it is then lost."""
    line = json.dumps(
        {
            "time": now(),
            "event": event,
            "stream": stream,
            "commit": commit,
            "detail": detail,
            "evidence": dict(evidence or {}),
        },
        ensure_ascii=False,
    )
    with contextlib.suppress(OSError, LokiError), open_log(site.folder("state") / "events.jsonl") as sink:
        os.write(sink.fileno(), visible_json(without_credentials(line)).encode() + b"\n")


def read_all(site: Site) -> Iterator[dict[str, Any]]:
    """Yield the events, oldest first; lines that are no JSON objects are passed over."""
    yield from read_since(site, 0)[0]


def end(site: Site) -> int:
    """Return the position after the last event, for ``read_since``."""
    try:
        return os.lstat(_path(site)).st_size
    except OSError:
        return 0


def read_since(site: Site, position: int) -> tuple[list[dict[str, Any]], int]:
    """Return the events after ``position`` (a byte of the log), oldest first, and the position after them.

    A line that is not whole yet is left for the next time. A log that became shorter was begun anew: all of it is read.
    """
    if end(site) < position:
        position = 0
    raw = read_plain(_path(site), limit=8 * MAX_BYTES, start=position) or b""
    whole = raw[: raw.rfind(b"\n") + 1]
    found = []
    for line in whole.splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(line)
            if isinstance(value, dict):
                found.append(value)
    return found, position + len(whole)


def _path(site: Site) -> Path:
    return site.loki / "state" / "events.jsonl"
