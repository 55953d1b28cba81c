"""Python: the public names of modules, endpoints, options; from the sources alone, nothing is imported or run."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from loki_hooks.domain.surface import Compared, Unread
from loki_hooks.surface.packages import Packages
from loki_hooks.surface.python.config import config_changes, settings_by_place
from loki_hooks.surface.python.declared import declared_options
from loki_hooks.surface.python.endpoints import endpoint_changes, endpoints, handlers
from loki_hooks.surface.python.marks import DefinitionMarks, marks_of
from loki_hooks.surface.python.names import Surface
from loki_hooks.surface.python.options import Option, merged, options_of
from loki_hooks.surface.python.public import public_changes
from loki_hooks.surface.python.routes import Routes, routes_of
from loki_hooks.surface.python.settings import settings_of
from loki_hooks.surface.python.source import Module, Modules, imports_of, needs, parse, prune, too_deep

if TYPE_CHECKING:
    import griffe

_ROUTERS = "main app urls api router routers routes server asgi wsgi factory application views"
ROUTER_FILES = frozenset(_ROUTERS.split())
"""Where routers are usually included, and made: seen beside a changed file, they tell under which prefix it serves."""
ALIAS_FILES = frozenset({"_types", "_typing", "types", "typing"})
"""Where types that others are made of are usually given a name."""
ROUTER_FOLDERS = frozenset({"routers", "routes", "api", "endpoints", "views", "blueprints"})
MAX_CONTEXT = 200


@dataclass(frozen=True)
class Read:
    """All that is kept of one file."""

    module: Module
    marks: Mapping[str, DefinitionMarks]
    routes: Routes
    options: tuple[Option, ...]
    commands: frozenset[str]


class Side:
    """All files of one side. ``models`` is shared by both: what is equal is read once."""

    def __init__(self, read: Mapping[str, Read], models: dict[int, griffe.Module]) -> None:
        self.modules = Modules(r.module for r in read.values())
        routes = {path: r.routes for path, r in read.items()}
        self.endpoints = endpoints(self.modules, routes)
        called = handlers(self.modules, routes) | {(path, name) for path, r in read.items() for name in r.commands}
        self.surface = Surface(self.modules, {path: r.marks for path, r in read.items()}, called, models)
        self.options = settings_by_place({path: r.options for path, r in read.items()})


def changes(before: Mapping[str, str], after: Mapping[str, str], packages: Packages) -> Compared:
    """Return how the surface of the modules changed."""
    del packages
    with _uncollected():
        return _changes(before, after)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Pause the garbage collector: trees are many small objects that stay until the end, and looking through them again
    and again costs a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> Compared:
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
    models: dict[int, griffe.Module] = {}
    old, new = (
        Side({p: r for p, text in side.items() if p not in unread and isinstance(r := read[p, text], Read)}, models)
        for side in (before, after)
    )
    return Compared(
        (
            *public_changes(old.surface, new.surface),
            *endpoint_changes(old.endpoints, new.endpoints),
            *config_changes(old.options, new.options),
        ),
        tuple(Unread(path, unread[path]) for path in sorted(unread) if before.get(path) != after.get(path)),
    )


def _read(path: str, text: str) -> Read | str:
    """Return what is read of the file, or why nothing is."""
    tree = parse(text)
    if isinstance(tree, str):
        return tree
    try:
        imports = imports_of(tree, path)
        routes = routes_of(tree, text, imports)
        options, commands = options_of(tree, text, imports)
        options += settings_of(tree, text)
        known = {option.name for option in options}
        options += [option for option in declared_options(tree, path) if option.name not in known]
        marks = marks_of(tree)
        used, lazy = needs(tree, path)
        if too_deep(prune(tree)):
            return "nested too deeply"
        return Read(Module(path, imports, tree, used, lazy), marks, routes, tuple(merged(options)), frozenset(commands))
    except RecursionError:
        return "nested too deeply"


def context(changed: Collection[str], all_paths: Collection[str]) -> set[str]:
    """Return the ``__init__`` modules of the packages that the changed modules are in; beside a private module or an ``__init__``,
    those that hand names on or are handed on; and the files in which routers are usually made and included."""
    folders = {str(f) for p in changed for f in PurePosixPath(p).parents} - {"."} | {""}
    hidden = {_public_folder(p) for p in changed if "/_" in f"/{p}"}
    changed = frozenset(changed)
    packages: set[str] = set()
    others: list[str] = []
    for path in all_paths:
        folder, _, name = path.rpartition("/")
        stem = name.partition(".")[0]
        above, _, own = folder.rpartition("/")
        if (folder in folders and stem == "__init__") or f"{path}i" in changed or path.removesuffix("i") in changed:
            packages.add(path)
        elif (
            folder in hidden
            or (stem in ROUTER_FILES | ALIAS_FILES and folder in folders)
            or (own in ROUTER_FOLDERS and above in folders)
        ):
            others.append(path)
    return packages | set(sorted(others)[:MAX_CONTEXT])


def _public_folder(path: str) -> str:
    """Return the folder that a private module, or the private folder that it is in, stands in."""
    parts = path.split("/")
    first = next(n for n, part in enumerate(parts) if part.startswith("_"))
    return "/".join(parts[:first])
