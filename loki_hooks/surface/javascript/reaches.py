"""From where a package's users can import what its modules export, and which types they meet that are not exported."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from loki_hooks.domain.surface import Aspect
from loki_hooks.surface.javascript.modules import DEFAULT, Export, ExportingModule
from loki_hooks.surface.packages import Packages
from loki_hooks.surface.pool import Key, joined, offer
from loki_hooks.surface.reach import ELSEWHERE, Reach

Exports = dict[str, dict[str, Export]]
Origin = Callable[[Exports, str, str, Export], tuple[str, str, Export]]
Resolve = Callable[[Mapping[str, object], str, str], str | None]
Reaches = dict[Key, Reach]
_TYPE_NAME = re.compile(r"(?<![\w.])[A-Z]\w*")
_MOST_TYPES = 300


def public_reaches(
    modules: Mapping[str, ExportingModule], exports: Exports, origin: Origin, packages: Packages, resolve: Resolve
) -> tuple[Reaches, Reaches]:
    """Return what can be imported, by place; and the members of types that are not exported, but that callers have to do with."""
    public = _public_modules(exports, packages, resolve)
    out: Reaches = {}
    for path in exports:
        for name, export in exports[path].items() if path in public else ():
            home, own_name, found = origin(exports, path, name, export)
            called = name if name != DEFAULT else found.called or _stem(home)
            owner = (path, name, "")
            offers = [
                (
                    (path, name, e.suffix),
                    replace(
                        offer(Aspect.PUBLIC, called + e.suffix, e.line, home, e.shape, owner=owner),
                        new_breaks="abstract" in e.shape.marks,  # every subclass has to write it
                    ),
                )
                for e in found.entries
            ] or [(owner, offer(Aspect.PUBLIC, called, export.line, path, ELSEWHERE))]
            for key, one in joined(offers).items():
                assert isinstance(key, tuple)
                barrel = path if found is not export else ""
                out[key] = Reach(one, (home, own_name, key[2]), barrel, export.line)
    return out, _unexported(modules, exports, out, origin, resolve)


def _public_modules(exports: Exports, packages: Packages, resolve: Resolve) -> set[str]:
    """Return the modules that are entries, or that one hands on as a whole."""
    public = {path for path in exports if (entries := packages.entries(path)) is None or path in entries}
    todo = list(public)
    while todo:
        path = todo.pop()
        for export in exports[path].values():
            home = resolve(exports, path, export.source) if export.source else None
            if home and home not in public and (export.name == "*" or export.name not in exports[home]):
                public.add(home)
                todo.append(home)
    return public


def _unexported(
    modules: Mapping[str, ExportingModule], exports: Exports, public: Reaches, origin: Origin, resolve: Resolve
) -> Reaches:
    """Return the members of types that callers have to make, though nobody exports them: of parameters, and what these hold."""
    known = {(reach.origin[0], reach.origin[1]) for reach in public.values() if isinstance(reach.origin, tuple)}
    out: Reaches = {}
    todo: list[tuple[Key, str, str, int]] = []
    for owner, reach in public.items():
        if isinstance(reach.origin, tuple):
            given = [param.type for shape in reach.offer.shapes for param in shape.params or ()]
            todo += [(owner, reach.origin[0], name, 0) for text in given for name in _TYPE_NAME.findall(text)]
    while todo and len(known) < len(public) + _MOST_TYPES:
        owner, home, name, depth = todo.pop()
        found = _declared(modules, exports, home, name, origin, resolve)
        if found is None or found in known:
            continue
        known.add(found)
        place, own_name = found
        for entry in modules[place].own.get(own_name, ()):
            shape = entry.shape
            if entry.suffix and shape.kind in ("field", "function"):
                key = (place, own_name, entry.suffix)
                one = offer(Aspect.PUBLIC, own_name + entry.suffix, entry.line, place, shape, owner=owner)
                out[key] = Reach(one, key)
            texts = (shape.type, *shape.bases) if not entry.suffix or depth < _DEPTH else ()
            todo += [(owner, place, inner, depth + 1) for text in texts for inner in _TYPE_NAME.findall(text)]
    return out


_DEPTH = 1
"""Options within options."""


def _declared(
    modules: Mapping[str, ExportingModule], exports: Exports, home: str, name: str, origin: Origin, resolve: Resolve
) -> tuple[str, str] | None:
    """Return where a type is declared that ``home`` calls ``name``."""
    module = modules.get(home)
    if module is None:
        return None
    if name in module.own:
        return home, name
    source, original = module.imported.get(name, ("", ""))
    place = resolve(exports, home, source) if source else None
    export = exports[place].get(original) if place else None
    if place is None or export is None:
        return None
    place, own_name, found = origin(exports, place, original, export)
    return place, found.local or own_name


def without_exported(
    before: tuple[Reaches, Reaches], after: tuple[Reaches, Reaches]
) -> tuple[dict[Key, Reach], dict[Key, Reach]]:
    """Return all reaches of both sides; a type that is exported on one side counts as it is there, and not twice."""
    sides = []
    for (public, hidden), (others, _) in ((before, after), (after, before)):
        elsewhere = {reach.origin for reach in others.values()}
        sides.append({**{k: r for k, r in hidden.items() if r.origin not in elsewhere}, **public})
    return sides[0], sides[1]


def written_out(
    sides: tuple[dict[Key, Reach], dict[Key, Reach]], modules: tuple[Mapping[str, ExportingModule], ...]
) -> Iterator[dict[Key, Reach]]:
    """Yield the sides with the type written out for each name that only one of them gives to it: both say the same."""
    aliases = [_aliases(side) for side in modules]
    lone = {n: kind for one, other in (aliases, aliases[::-1]) for n, kind in one.items() if n not in other}
    words = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, lone))})(?![\w<])") if lone else None
    for side in sides:
        yield {key: _spelled(reach, words, lone) for key, reach in side.items()} if words is not None else side


def _aliases(modules: Mapping[str, ExportingModule]) -> dict[str, str]:
    return {
        name: entry.shape.type
        for module in modules.values()
        for name, entries in module.own.items()
        for entry in entries
        if entry.shape.kind == "type" and not entry.shape.generics and 0 < len(entry.shape.type) <= _LONGEST_ALIAS
    }


_LONGEST_ALIAS = 100


def _spelled(reach: Reach, words: re.Pattern[str], aliases: Mapping[str, str]) -> Reach:
    def spelled(text: str) -> str:
        return words.sub(lambda found: aliases[found[0]], text)

    if not words.search(reach.offer.seen):
        return reach
    shapes = tuple(
        replace(s, type=spelled(s.type), params=s.params and tuple(replace(p, type=spelled(p.type)) for p in s.params))
        for s in reach.offer.shapes
    )
    seen = "; ".join(sorted(map(str, shapes)))
    return replace(reach, offer=replace(reach.offer, shapes=shapes, seen=seen))


def _stem(path: str) -> str:
    folder, name = posixpath.split(path)
    stem = name.split(".")[0]
    return (posixpath.basename(folder) or stem) if stem == "index" else stem
