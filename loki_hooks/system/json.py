"""JSON that can be written again as it was read, and shown on any terminal."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from loki_hooks.system.files import MAX_BYTES, read_plain

MAX_DEPTH = 100


def parse_json(data: bytes | None) -> Any:
    """Return the value in ``data``, or None when it is no JSON.

    NaN, infinities (``1e999`` too) and nesting beyond ``MAX_DEPTH`` count as none: what was read can be written again.
    """
    if data is None:
        return None
    try:
        value = json.loads(data.decode("utf-8-sig"), parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return value if _is_shallow(value) else None


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _finite(word: str) -> float:
    number = float(word)
    if not math.isfinite(number):
        raise ValueError(f"{word} is beyond every float")
    return number


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return True
    return False


def read_json(path: Path, limit: int = MAX_BYTES) -> Any:
    """Return the JSON value in ``path``, or None when there is none that can be read (see ``read_plain``)."""
    return parse_json(read_plain(path, limit))


def dump_json(value: Any) -> str:
    """Return ``value`` as a JSON document that every encoding can carry, and any terminal.

    Characters are written as they are; control characters, and halves of a surrogate pair (bytes of a path that are
    no UTF-8), are escaped.
    """
    return visible_json(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)) + "\n"


def visible_json(text: str) -> str:
    """Return the JSON ``text`` with everything escaped that a terminal would obey, or no encoding can carry."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
