"""Reads JavaScript and TypeScript: what their modules export, and where it can be imported from.

A name that a barrel (``index.ts``) hands on is called as the barrel calls it; a file behind one may move.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from loki_hooks.domain.surface import Aspect, Change, Compared
from loki_hooks.surface.javascript.app import read_offers, routers_of
from loki_hooks.surface.javascript.modules import DEFAULT, Export, ExportingModule, read_exports
from loki_hooks.surface.pool import Key, compare_files, differ_by_key, joined, offer
from loki_hooks.surface.reach import ELSEWHERE, Reach, reach_difference
from loki_hooks.surface.reader import LANGUAGES
from loki_hooks.surface.syntax import Syntax

SUFFIXES = LANGUAGES["javascript"]
_SCRIPT = (".js", ".jsx", ".mjs", ".cjs")
_BARRELS = tuple(f"index{suffix}" for suffix in SUFFIXES)
_SIBLINGS = 40
"""Of so many files beside a changed barrel it is looked what it hands on."""


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> Compared:
    return compare_files(before, after, _language, _read, _differ)


def context(changed: Collection[str], all_paths: Collection[str]) -> set[str]:
    """Return the barrels of the folders above what changed, and what stands beside a barrel that changed."""
    ours = [path for path in changed if path.endswith(SUFFIXES)]
    there = set(all_paths)
    found = set()
    for folder in {folder for path in ours for folder in _folders(path)}:
        found |= {posixpath.join(folder, name) for name in _BARRELS} & there
    for barrel in ours:
        folder, name = posixpath.split(barrel)
        if name in _BARRELS:
            beside = sorted(p for p in there if p.endswith(SUFFIXES) and _inside(p, folder))
            found |= set(beside if len(beside) <= _SIBLINGS else ())
    return found - set(changed)


def _folders(path: str) -> Iterator[str]:
    while path:
        path = posixpath.dirname(path)
        yield path


def _inside(path: str, folder: str) -> bool:
    """Is it in the folder, or the barrel of a folder in it?"""
    at = posixpath.dirname(path)
    return at == folder or (posixpath.basename(path) in _BARRELS and posixpath.dirname(at) == folder)


def _language(path: str) -> str:
    if path.endswith(_SCRIPT):
        return "javascript"
    return "tsx" if path.endswith(".tsx") else "typescript"


def _read(path: str, root: Syntax) -> ExportingModule:
    module = ExportingModule(path) if _is_configuration(path) else read_exports(path, root)
    routers = routers_of(root)  # what one offers are its routes
    module.exports = {name: export for name, export in module.exports.items() if export.local not in routers}
    module.offers = list(read_offers(path, root))
    return module


_Exports = dict[str, dict[str, Export]]


def _is_configuration(path: str) -> bool:
    """Is it a tool's (``vite.config.ts``, ``.eslintrc.js``)? Nobody imports that."""
    name = posixpath.basename(path)
    return ".config." in name or name.startswith(".")


def _differ(old: dict[str, ExportingModule], new: dict[str, ExportingModule]) -> Iterator[Change]:
    yield from reach_difference(_reaches(_exports(old)), _reaches(_exports(new)))
    offers = [{path: module.offers for path, module in side.items()} for side in (old, new)]
    yield from differ_by_key(*offers)


def _reaches(modules: _Exports) -> dict[Key, Reach]:
    out: dict[Key, Reach] = {}
    for path, exports in modules.items():
        for name, export in exports.items():
            home, own_name, origin = _origin(modules, path, name, export)
            called = name if name != DEFAULT else origin.called or _stem(home)
            owner = (path, name, "")
            offers = [
                (
                    (path, name, e.suffix),
                    replace(
                        offer(Aspect.PUBLIC, called + e.suffix, e.line, home, e.shape, owner=owner),
                        new_breaks="abstract" in e.shape.marks,  # every subclass has to write it
                    ),
                )
                for e in origin.entries
            ] or [(owner, offer(Aspect.PUBLIC, called, export.line, path, ELSEWHERE))]
            for key, one in joined(offers).items():
                assert isinstance(key, tuple)
                barrel = path if origin is not export else ""
                out[key] = Reach(one, (home, own_name, key[2]), barrel, export.line)
    return out


def _origin(modules: _Exports, path: str, name: str, export: Export) -> tuple[str, str, Export]:
    """Follow an export to the module that declares it: (path, name there, export there)."""
    seen = {(path, name)}
    while export.source and export.name != "*":
        home = _resolve(modules, path, export.source)
        following = modules[home].get(export.name) if home else None
        if home is None or following is None or (home, export.name) in seen:
            break
        path, name, export = home, export.name, following
        seen.add((path, name))
    return path, name, export


def _exports(modules: dict[str, ExportingModule]) -> _Exports:
    """Return each module's exports, with the names that ``export *`` hands on through any number of barrels."""
    out = {path: dict(module.exports) for path, module in modules.items()}
    grown = True
    while grown:
        grown = False
        for path, module in modules.items():
            for star in module.stars:
                home = _resolve(modules, path, star.source)
                for name in list(out[home]) if home and home != path else ():
                    if name != DEFAULT and name not in out[path]:
                        out[path][name] = Export(star.line, source=star.source, name=name)
                        grown = True
    return out


def _resolve(modules: Collection[str], path: str, source: str) -> str | None:
    if not source.startswith("."):
        return None
    base = posixpath.normpath(posixpath.join(posixpath.dirname(path), source))
    stem = next((base.removesuffix(suffix) for suffix in SUFFIXES if base.endswith(suffix)), base)
    candidates = [base, *(one + suffix for one in (stem, base) for suffix in SUFFIXES)]
    candidates += [posixpath.join(base, name) for name in _BARRELS]
    return next((candidate for candidate in candidates if candidate in modules), None)


def _stem(path: str) -> str:
    folder, name = posixpath.split(path)
    stem = name.split(".")[0]
    return (posixpath.basename(folder) or stem) if stem == "index" else stem
