"""``state/events.jsonl``: append-only, one line per thing that happened.

Appended with one write(2) in O_APPEND mode, so lines of many processes never mix. A report, a timeline and
"why was this removed?" are drawn from here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from loki_hooks.errors import LokiError
from loki_hooks.system.clock import now
from loki_hooks.system.files import MAX_BYTES, read_plain
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
        {"time": now(), "event": event, "stream": stream, "commit": commit, "detail": detail,
         "evidence": dict(evidence or {})},
        ensure_ascii=False,
    )
    try:
        path = site.folder("state") / "events.jsonl"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    except (OSError, LokiError):
        return
    try:
        os.write(handle, line.encode("utf-8", "backslashreplace") + b"\n")
    except OSError:
        pass
    finally:
        os.close(handle)


def read_all(site: Site) -> Iterator[dict[str, Any]]:
    """Yield the events, oldest first; lines that are no JSON objects are passed over."""
    raw = read_plain(site.loki / "state" / "events.jsonl", limit=8 * MAX_BYTES) or b""
    for line in raw.splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value
