"""Conflicts of additions only: both sides added lines, nobody changed or took any. Then both are kept."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from difflib import SequenceMatcher


def is_additive(path: str, patterns: Iterable[str]) -> bool:
    """Return whether ``path`` (or its last part) fits one of the globs."""
    name = path.rsplit("/", 1)[-1]
    return any(fnmatch.fnmatchcase(path, p) or fnmatch.fnmatchcase(name, p) for p in patterns)


def only_adds(base: bytes, side: bytes) -> bool:
    """Return whether ``side`` is ``base`` with whole lines added, none changed or taken."""
    matcher = SequenceMatcher(None, base.splitlines(), side.splitlines(), autojunk=False)
    return all(tag in {"equal", "insert"} for tag, *_ in matcher.get_opcodes())
