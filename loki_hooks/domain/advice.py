"""What a row of the status says beside a stream's reason: in one line why, and the command that goes on from there."""

from __future__ import annotations

import re
import shlex

from loki_hooks.domain.sessions.ending import Trouble
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import ENDED_UNDONE, Status

_TELLING = re.compile(r"^(fatal|error|remote|!)\b:?", re.IGNORECASE)
_LONGEST = 300


def one_line(reason: str) -> str:
    """Return a reason of several lines as one: its first, and the first of the others that says what went wrong."""
    lines = [" ".join(line.split()) for line in reason.splitlines() if line.strip()]
    if len(lines) < 2:
        return lines[0] if lines else ""
    said = next((line for line in lines[1:] if _TELLING.match(line)), "")
    text = f"{lines[0].rstrip(':')}: {said}" if said else lines[0]
    return f"{text[:_LONGEST]} …"


def advice(record: StreamRecord, tip: str) -> str:
    """Return what a person can do about a stream that ended undone, '' where nothing is to be said.

    ``tip``: the commit that its branch is at now.
    """
    name = shlex.quote(record.name)
    if record.status in ENDED_UNDONE and record.tip and tip not in {"", record.tip, record.base}:
        return f"it has new commits: `loki-hooks finish {name} --merge` has them tested"
    if record.status is Status.REJECTED:
        return f"`loki-hooks logs {name} --gate` shows how, `loki-hooks resume {name}` has an agent mend it"
    if record.status is Status.CONFLICTED:
        return f"`loki-hooks resume {name}` has an agent resolve it, or commit the resolution in {record.path}"
    if record.status is Status.FAILED and record.trouble == Trouble.SETUP_FAILED:
        return f"mended? `loki-hooks resume {name}`; its output: .loki/logs/setup-{record.stream}.log"
    return ""
