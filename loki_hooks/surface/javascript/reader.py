"""Reads JavaScript and TypeScript: what their modules export, and where it can be imported from.

A name that a barrel (``index.ts``) hands on is called as the barrel calls it; a file behind one may move.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping

from loki_hooks.domain.surface import Aspect, Change, Compared
from loki_hooks.surface.javascript.app import BY_CUSTOM, Served, mounts_of, read_offers
from loki_hooks.surface.javascript.modules import DEFAULT, Export, ExportingModule, read_exports
from loki_hooks.surface.javascript.reaches import public_reaches, without_exported, written_out
from loki_hooks.surface.languages import LANGUAGES
from loki_hooks.surface.offers import moved_below, under
from loki_hooks.surface.packages import Packages
from loki_hooks.surface.pool import Found, compare_files, differ_by_key
from loki_hooks.surface.reach import reach_difference
from loki_hooks.surface.syntax import Syntax

SUFFIXES = LANGUAGES["javascript"]
_SCRIPT = (".js", ".jsx", ".mjs", ".cjs")
_BARRELS = tuple(f"index{suffix}" for suffix in SUFFIXES)
_SERVERS = ("app", "server", "main", "router", "routes", "api")
"""What the files are called in which routers are usually mounted."""
MOST_FOLLOWED = 60
_TAKEN = re.compile(r"""(?:\bfrom\s*|\brequire\(\s*|\bimport\(\s*)["'](?P<source>\.[^"']*)["']""")
_DERIVED = re.compile(
    r"""\bimport\b[^;'"]*\bfrom\s*["'](?P<source>\.[^"']*(?:types|options|base|abstract|config)[^"']*)["']""",
    re.IGNORECASE,
)
"""Beside what hands on, only what is called so is looked into: else one file leads to all others."""
_DEPTH = 8
_SIBLINGS = 40
"""Of so many files beside a changed barrel it is looked what it hands on."""


def changes(before: Mapping[str, str], after: Mapping[str, str], packages: Packages) -> Compared:
    return compare_files(before, after, _language, _read, lambda old, new: _differ(old, new, packages))


def context(changed: Collection[str], all_paths: Collection[str]) -> set[str]:
    """Return the barrels of the folders above what changed, and what stands beside a barrel that changed."""
    ours = [path for path in changed if path.endswith(SUFFIXES)]
    there = set(all_paths)
    found = set()
    for folder in {folder for path in ours for folder in _folders(path)}:
        found |= {posixpath.join(folder, name) for name in _BARRELS} & there
        found |= {posixpath.join(folder, stem + suffix) for stem in _SERVERS for suffix in SUFFIXES} & there
    for barrel in ours:
        folder, name = posixpath.split(barrel)
        if name in _BARRELS:
            beside = sorted(p for p in there if p.endswith(SUFFIXES) and _inside(p, folder))
            found |= set(beside if len(beside) <= _SIBLINGS else ())
    return found - set(changed)


def follow(texts: Mapping[str, str], all_paths: Collection[str], packages: Packages) -> set[str]:
    """Return the entries of the packages, and what those and their barrels hand on; and what the files derive from."""
    there = all_paths if isinstance(all_paths, set | frozenset | dict) else set(all_paths)
    entries = {path: packages.entries(path) or frozenset() for path in texts}
    wanted = [entry for listed in entries.values() if len(listed) <= MOST_FOLLOWED for entry in sorted(listed)]
    for path, text in texts.items():
        handing_on = path in entries[path] or posixpath.basename(path) in _BARRELS
        pattern = _TAKEN if handing_on else _DERIVED
        for found in pattern.finditer(text):
            home = _resolve(there, path, found["source"])
            wanted += [home] if home else []
    return set([path for path in dict.fromkeys(wanted) if path not in texts][:MOST_FOLLOWED])


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
    served = Served(root)
    routers = served.routers  # what one offers are its routes
    module.routers = frozenset(e.local for e in module.exports.values() if e.local in routers)
    module.exports = {name: export for name, export in module.exports.items() if export.local not in routers}
    module.offers = [] if _is_configuration(path) else list(read_offers(path, root, served))
    module.mounts = list(mounts_of(root, module.imported, served))
    return module


_TOOLS = (
    "webpack.",
    "rollup.",
    "gulpfile",
    "gruntfile",
    "package-scripts",
    "jakefile",
    "esbuild.",
    "vite.",
    "karma",
    "babel.",
)
_Exports = dict[str, dict[str, Export]]


def _is_configuration(path: str) -> bool:
    """Is it a tool's (``vite.config.ts``, ``.eslintrc.js``)? Nobody imports that."""
    name = posixpath.basename(path).lower()
    return ".config." in name or name.startswith((".", *_TOOLS)) or ".conf." in name


def _differ(old: dict[str, ExportingModule], new: dict[str, ExportingModule], packages: Packages) -> Iterator[Change]:
    before, after = (public_reaches(side, _exports(side), _origin, packages, _resolve) for side in (old, new))
    yield from reach_difference(*written_out(without_exported(before, after), (old, new)))
    yield from differ_by_key(*({path: list(_offers(side, path)) for path in side} for side in (old, new)))


def _offers(modules: dict[str, ExportingModule], path: str) -> Iterator[Found]:
    """Yield a module's endpoints below the prefix under which another one serves them, and its settings."""
    prefix = _prefix(modules, path, ())
    for key, one in modules[path].offers:
        served = one.aspect is Aspect.ENDPOINT and one.owner in modules[path].routers | BY_CUSTOM
        yield moved_below(prefix, one) if prefix and served else (key, one)


def _prefix(modules: dict[str, ExportingModule], path: str, trail: tuple[str, ...]) -> str:
    for parent, module in modules.items():
        for source, prefix in module.mounts if parent not in trail and len(trail) < _DEPTH else ():
            if parent != path and _resolve(modules, parent, source) == path:
                return under(_prefix(modules, parent, (*trail, path)), prefix).rstrip("/")
    return ""


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
