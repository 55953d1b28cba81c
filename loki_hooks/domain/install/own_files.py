"""Which files below ``.loki/`` are ours: other programs and people keep theirs there too (README, "Files").

A name that only we write, and a content that says who wrote it where others use the name too. What is not known to be ours is
somebody else's.
"""

from __future__ import annotations

import json
import re
from enum import Enum

from loki_hooks.domain.streams.signals import parse_signal
from loki_hooks.domain.streams.state import UPSTREAM_VERSION, State


class Whose(Enum):
    """``MACHINERY`` is made again when it is needed; ``KEEPSAKE`` somebody may miss."""

    MACHINERY = "ours, and worth nothing without us"
    KEEPSAKE = "ours, and worth keeping"
    OTHERS = "somebody else's"


STATE_FILE = "state/orchestrator.json"
IGNORE_FILE = ".gitignore"
IGNORE_TEXT = b"*\n"

_LOCK = re.compile(r"(state/(.*/)?|queue/\w+/)\.[^/]+\.lock|queue/\w+/\.lock")
_RECORDS = {
    re.compile(r"state/radar\.json"): {"seen_at"},
    re.compile(r"state/gate-(runs|runners|waits)/[^/]+\.json"): {"runner"},
    re.compile(r"state/locks/[^/]+\.json"): {"owner", "worktree"},
    re.compile(r"queue/\w+/claimed/\.[^/]+\.owner"): {"pid", "started"},
}
"""JSON objects of ours, with keys that each of them has."""
_BY_NAME = re.compile(r"state/fetched|state/notices/(checkout|commit)-[^/]+|state/prompts/[^/]+\.md|logs/hooks\.log")
_KEEPSAKES = re.compile(
    r"CONTINUITY\.md|trash/.+|archive/[^/]+-\d{8}T\d{6,}\w*/.+|queue/\w+/((claimed|done)/)?[0-9a-f]{8,}\.json"
    r"|logs/((session|setup|gate|commit)-[^/]+\.log(\.\d+)?|runner\.log)"
)
_EVENT = {"time", "event", "stream", "evidence"}
_RESULT = {"outcome", "tree", "gates"}
_FRESH = {"version": UPSTREAM_VERSION, "currentPhase": "DEVELOPMENT", "agents": {}, "metrics": {}}


def whose(name: str, data: bytes | None) -> Whose:
    """Return whose file ``name`` (from ``.loki/``) with this content is; None: what cannot be read, or is no plain file."""
    if data is None:
        return Whose.KEEPSAKE if _KEEPSAKES.fullmatch(name) else Whose.OTHERS
    if name == STATE_FILE:
        return _whose_state(_parsed(data))
    if _is_machinery(name, data):
        return Whose.MACHINERY
    return Whose.KEEPSAKE if _KEEPSAKES.fullmatch(name) else Whose.OTHERS


def _is_machinery(name: str, data: bytes) -> bool:
    if name == IGNORE_FILE:
        return data == IGNORE_TEXT
    if _LOCK.fullmatch(name):
        return not data
    if _BY_NAME.fullmatch(name):
        return True
    if name == "state/events.jsonl":
        return all(_has(_parsed(line), _EVENT) for line in data.splitlines())
    value = _parsed(data)
    if name == "state/test-results.json":
        return isinstance(value, dict) and all(_has(entry, _RESULT) for entry in value.values())
    folder, _, file = name.rpartition("/")
    if name == "state/resources.json" or (folder == "signals" and parse_signal(file) is not None):
        return isinstance(value, dict) and value.get("by") == "loki-hooks"
    return any(pattern.fullmatch(name) and _has(value, keys) for pattern, keys in _RECORDS.items())


def _whose_state(value: object) -> Whose:
    """The state file is upstream's too: it is ours where nobody else has written anything in it."""
    if not isinstance(value, dict) or type(value.get("state_version")) is not int:
        return Whose.OTHERS
    state = State.from_json(value)
    foreign = {key: told for key, told in state.foreign.items() if key not in {"state_version", "schema", "startedAt"}}
    if foreign != _FRESH:
        return Whose.OTHERS
    return Whose.KEEPSAKE if any(record.kind != "main" for record in state.streams.values()) else Whose.MACHINERY


def _parsed(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _has(value: object, keys: set[str]) -> bool:
    return isinstance(value, dict) and keys <= value.keys()
