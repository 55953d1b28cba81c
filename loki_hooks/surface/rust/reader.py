"""Reads Rust: what a crate's users can name, through public modules and ``pub use``. A program's own files offer nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from loki_hooks.domain.surface import Aspect, Change, Compared
from loki_hooks.surface.languages import LANGUAGES
from loki_hooks.surface.packages import Packages
from loki_hooks.surface.pool import Key, bare, compare_files, differ_by_key, joined, offer
from loki_hooks.surface.reach import ELSEWHERE, Reach, reach_difference
from loki_hooks.surface.rust.app import read_offers
from loki_hooks.surface.rust.items import Path, RustFile, RustItem, Use, read_items, roots
from loki_hooks.surface.syntax import Syntax

SUFFIXES = LANGUAGES["rust"]
_Exports = dict[Path, dict[str, list[RustItem] | Use]]


def changes(before: Mapping[str, str], after: Mapping[str, str], packages: Packages) -> Compared:
    del packages
    return compare_files(before, after, lambda _: "rust", _read, _differ)


def context(changed: Collection[str], all_paths: Collection[str]) -> set[str]:
    """Return the crates' roots, and the modules around what changed."""
    wanted = {root for path in changed if path.endswith(SUFFIXES) for root in roots(path)}
    return (wanted & set(all_paths)) - set(changed)


def _read(path: str, root: Syntax) -> RustFile:
    file = read_items(path, root)
    file.offers = list(read_offers(path, root))
    return file


def _differ(old: dict[str, RustFile], new: dict[str, RustFile]) -> Iterator[Change]:
    before, after = _reaches(old), _reaches(new)
    yield from reach_difference(before, _telling(before, after))
    offers = [{path: file.offers for path, file in side.items()} for side in (old, new)]
    yield from differ_by_key(*offers)


_DERIVED = frozenset(
    f"impl {name}" for name in ("Clone", "Copy", "Debug", "Default", "Eq", "Hash", "Ord", "PartialEq", "PartialOrd")
)


def _telling(old: dict[Key, Reach], new: dict[Key, Reach]) -> dict[Key, Reach]:
    """Return the newer side without the traits that a type only gained and that most types have: they are no news to anybody."""
    out = dict(new)
    for key, reach in new.items():
        before = old.get(key)
        if before is None or before.offer.seen == reach.offer.seen or len(reach.offer.shapes) != 1:
            continue
        (shape,) = reach.offer.shapes
        there = {mark for one in before.offer.shapes for mark in one.marks}
        kept = replace(shape, marks=shape.marks - (_DERIVED - there))
        if kept != shape:
            out[key] = replace(reach, offer=replace(reach.offer, shapes=(kept,), seen=str(kept)))
    return out


def _reaches(files: dict[str, RustFile]) -> dict[Key, Reach]:
    out: dict[Key, Reach] = {}
    files = _placed(files)
    for crate in {file.crate for file in files.values()}:
        own = [file for file in files.values() if file.crate == crate]
        if any(not file.module and not file.program for file in own) or not any(
            file.program and not file.module for file in own
        ):
            out |= _crate(crate, [file for file in own if not file.program])
    return out


def _placed(files: dict[str, RustFile]) -> dict[str, RustFile]:
    """Return the files as the modules that those above them say they are."""
    out = dict(files)
    for path, module in [pair for file in files.values() for pair in file.elsewhere.items()]:
        file = out.get(path)
        if file is not None and file.module != module:
            cut = len(file.module)
            out[path] = replace(
                file,
                module=module,
                items=[replace(i, module=(*module, *i.module[cut:])) for i in file.items],
                uses=[replace(u, module=(*module, *u.module[cut:])) for u in file.uses],
                opens={(*module, *name[cut:]): public for name, public in file.opens.items()},
            )
    return out


def _crate(crate: str, files: list[RustFile]) -> dict[Key, Reach]:
    opens = {path: public for file in files for path, public in file.opens.items()}
    exports = _exports(files, opens)
    out: dict[Key, Reach] = {}
    for module, names in exports.items():
        if not all(opens.get(module[:end], True) for end in range(1, len(module) + 1)):
            continue
        for name, given in names.items():
            items = _origin(exports, opens, given)
            barrel = given if isinstance(given, Use) else None
            offers = []
            for item in items:
                called = name if barrel is not None else "::".join((*item.inner, item.name))
                owner = (crate, module, name, "") if item.suffix else None
                one = offer(Aspect.PUBLIC, called + item.suffix, item.line, item.file, item.shape, owner=owner)
                offers.append(((crate, module, name, item.suffix), replace(one, new_breaks=item.new_breaks)))
            if not items and barrel is not None:
                offers = [((crate, module, name, ""), offer(Aspect.PUBLIC, name, barrel.line, barrel.file, ELSEWHERE))]
            for key, one in joined(offers).items():
                assert isinstance(key, tuple)
                origin = (items[0].module, items[0].name, key[3]) if items else key
                line = barrel.line if barrel is not None else 0
                out[key] = Reach(one, (crate, origin), barrel.file if barrel is not None and items else "", line)
    return out


def _exports(files: list[RustFile], opens: Mapping[Path, bool]) -> _Exports:
    """Return each module's names, with those that ``pub use …::*`` hands on through any number of modules."""
    out: _Exports = {}
    homes = _homes(files)
    written = _traits(files)
    for file in files:
        for item in file.items:
            if not item.suffix and (more := written.get(item.name)) and item.shape.kind in _IMPLEMENTING:
                item = replace(item, shape=replace(item.shape, marks=item.shape.marks | more))  # noqa: PLW2901
            home = homes.get((item.module, item.name)) or homes.get(((), item.name)) or item
            there = out.setdefault(home.module, {}).setdefault(item.name, [])
            if isinstance(there, list):
                there.append(item)
        for use in file.uses:
            if use.name != "*":
                out.setdefault(use.module, {}).setdefault(use.alias, use)
    stars = [use for file in files for use in file.uses if use.name == "*"]
    grown = True
    while grown:
        grown = False
        for star in stars:
            target = _resolve(star, opens)
            for name in list(out.get(target, {})) if target is not None and target != star.module else ():
                if name not in out.setdefault(star.module, {}):
                    out[star.module][name] = replace(star, name=name, alias=name)
                    grown = True
    return out


_IMPLEMENTING = frozenset({"struct", "enum", "union"})
_SILENT = frozenset({"Drop", "StructuralPartialEq", "Sealed"})


def _traits(files: list[RustFile]) -> dict[str, frozenset[str]]:
    """Return type → the traits that are implemented for it and that others can name; derived or written, they are the same."""
    private = {name for file in files for name in file.private_traits} | _SILENT
    found: dict[str, set[str]] = {}
    for file in files:
        for name, trait in file.traits:
            if bare(trait) not in private:
                found.setdefault(name, set()).add(f"impl {trait}")
    return {name: frozenset(traits) for name, traits in found.items()}


def _homes(files: list[RustFile]) -> dict[tuple[Path, str], RustItem]:
    """Return the types by (module, name), and by ((), name) where the crate has but one of that name."""
    types = [item for file in files for item in file.items if not item.suffix]
    names = Counter(item.name for item in types)
    alone: dict[tuple[Path, str], RustItem] = {((), item.name): item for item in types if names[item.name] == 1}
    return {**alone, **{(item.module, item.name): item for item in types}}


def _resolve(use: Use, opens: Collection[Path]) -> Path | None:
    """Return the module that a path names, None where it is another crate's."""
    path, at = use.path, use.module
    if path[:1] == ("crate",):
        return path[1:]
    while path[:1] in (("self",), ("super",)):
        at = at[:-1] if path[0] == "super" else at
        path = path[1:]
        if not path or path[0] not in ("self", "super"):
            return (*at, *path)
    return (*at, *path) if not path or (*at, path[0]) in opens else None


def _origin(exports: _Exports, opens: Collection[Path], given: list[RustItem] | Use) -> list[RustItem]:
    """Follow a ``pub use`` to the items themselves, [] where they are not at hand."""
    for _ in range(len(exports) + 1):
        if isinstance(given, list):
            return given
        target = _resolve(given, opens)
        following = exports.get(target, {}).get(given.name) if target is not None else None
        if following is None or following is given:
            return []
        given = following
    return []
