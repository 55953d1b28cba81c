"""Python: the public names of modules, endpoints, options; from the sources alone, nothing is imported or run."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from loki_hooks.domain.pysurface import compare
from loki_hooks.domain.surface import Aspect, Change, Compared, Unread, What

SUFFIXES = (".py", ".pyi")


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> Compared:
    """Return how the surface of the modules changed."""
    found: list[Change] = []
    unread: list[Unread] = []
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) == after.get(path):
            continue
        compared = compare(before.get(path, ""), after.get(path, ""))
        if compared is None:
            unread.append(Unread(path, "no valid Python"))
        found += [
            Change(Aspect.PUBLIC, What(c.trigger), c.symbol, path, c.line, breaking=c.trigger == "removed")
            for c in compared or ()
        ]
    return Compared(tuple(found), tuple(unread))


def context(changed: Collection[str], all_paths: Collection[str]) -> set[str]:
    """Return the ``__init__`` modules of the packages that the changed modules are in."""
    there = set(all_paths)
    folders = {"/".join(p.split("/")[:n]) for p in changed for n in range(1, p.count("/") + 1)}
    return {f"{f}/__init__.py" for f in folders} & there
