"""Which tasks expect to touch the same files: globs are compared with globs, since the files may not be there yet."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence

_WILD = re.compile(r"[*?\[]")


def glob_problem(pattern: str) -> str:
    """Return '' or why ``pattern`` is no glob of paths in the repository. One that matches nothing yet is fine."""
    if not pattern.strip() or "\0" in pattern or "\n" in pattern:
        return "is empty" if not pattern.strip() else "is no path"
    if pattern.startswith(("/", "~")) or ".." in pattern.split("/"):
        return "leads out of the repository"
    if pattern.count("[") != pattern.count("]"):
        return "has a bracket without its partner"
    if "***" in pattern:
        return "has three stars in a row"
    return ""


def common(one: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    """Return the globs, the narrower of each pair, under which both sides could touch a file."""
    found = {max(a, b, key=lambda g: (len(_literal(g)), len(g), g)) for a in one for b in other if overlaps(a, b)}
    return tuple(sorted(found))


def overlaps(one: str, other: str) -> bool:
    """Return whether some path could match both globs. A path that ends plainly may be a folder, with all in it."""
    heads = _literal(one), _literal(other)
    if not (heads[0].startswith(heads[1]) or heads[1].startswith(heads[0])):
        return False  # the usual case, and cheap
    return any(_meet(a, b) for a in _forms(one) for b in _forms(other))


def _literal(pattern: str) -> str:
    found = _WILD.search(pattern)
    return pattern[: found.start()] if found else pattern.rstrip("/")


def _forms(pattern: str) -> Iterable[tuple[str, ...]]:
    parts = tuple(part for part in pattern.split("/") if part not in {"", "."})
    return (parts,) if parts and _WILD.search(parts[-1]) else (parts, (*parts, "**"))


def _meet(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    @functools.cache
    def meet(i: int, j: int) -> bool:
        if i == len(one) and j == len(other):
            return True
        if i < len(one) and one[i] == "**":
            return meet(i + 1, j) or (j < len(other) and meet(i, j + 1))
        if j < len(other) and other[j] == "**":
            return meet(i, j + 1) or (i < len(one) and meet(i + 1, j))
        return i < len(one) and j < len(other) and _names_meet(one[i], other[j]) and meet(i + 1, j + 1)

    return meet(0, 0)


@functools.lru_cache(maxsize=4096)
def _names_meet(one: str, other: str) -> bool:
    """Whether some name could match both: ``*`` any characters, ``?`` and a bracket one (a bracket may be any)."""
    if not _WILD.search(one) and not _WILD.search(other):
        return one == other
    a, b = (re.findall(r"\[[^\]]*\]|.", name) for name in (one, other))

    @functools.cache
    def meet(i: int, j: int) -> bool:
        if i == len(a) and j == len(b):
            return True
        if i < len(a) and a[i] == "*":
            return meet(i + 1, j) or (j < len(b) and meet(i, j + 1))
        if j < len(b) and b[j] == "*":
            return meet(i, j + 1) or (i < len(a) and meet(i + 1, j))
        if i == len(a) or j == len(b):
            return False
        any_one = any(part == "?" or len(part) > 1 for part in (a[i], b[j]))
        return (any_one or a[i] == b[j]) and meet(i + 1, j + 1)

    return meet(0, 0)
