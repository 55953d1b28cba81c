"""Python: the public names of modules, endpoints, options; from the sources alone, nothing is imported or run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from loki_hooks.domain.surface import Compared, Unread
from loki_hooks.system.surface.python_names import Surface
from loki_hooks.system.surface.python_public import public_changes
from loki_hooks.system.surface.python_shapes import Marks, marks_of
from loki_hooks.system.surface.python_source import Module, Modules, imports_of, parse, prune

SUFFIXES = (".py", ".pyi")


@dataclass(frozen=True)
class Read:
    """All that is kept of one file."""

    module: Module
    marks: Mapping[str, Marks]


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> Compared:
    """Return how the surface of the modules changed."""
    read: dict[tuple[str, str], Read | str] = {}
    for path, text in [*before.items(), *after.items()]:
        if (path, text) not in read:
            read[path, text] = _read(path, text)
    unread = {
        path: found
        for side in (before, after)
        for path, text in side.items()
        if isinstance(found := read[path, text], str)
    }
    old, new = (
        {
            path: found
            for path, text in side.items()
            if path not in unread and isinstance(found := read[path, text], Read)
        }
        for side in (before, after)
    )
    changed = [p for p in unread if before.get(p) != after.get(p)]
    return Compared(
        tuple(public_changes(_surface(old), _surface(new))),
        tuple(Unread(path, unread[path]) for path in sorted(changed)),
    )


def _read(path: str, text: str) -> Read | str:
    tree = parse(text)
    if isinstance(tree, str):
        return tree
    marks = marks_of(tree)
    imports = imports_of(tree, path)
    return Read(Module(path, imports, prune(tree)), marks)


def _surface(read: Mapping[str, Read]) -> Surface:
    return Surface(Modules(r.module for r in read.values()), {p: r.marks for p, r in read.items()}, ())


def context(changed: Collection[str], all_paths: Collection[str]) -> set[str]:
    """Return the ``__init__`` modules of the packages that the changed modules are in."""
    there = set(all_paths)
    folders = {"/".join(p.split("/")[:n]) for p in changed for n in range(1, p.count("/") + 1)}
    return {f"{f}/__init__.py" for f in folders} & there
