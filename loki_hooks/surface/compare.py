"""What changed of what the code offers, between two sets of sources: picks the reader for each file (`reader.py`).

Nothing here reads a file: the texts come from git objects.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from importlib import import_module
from itertools import groupby
from pathlib import PurePosixPath
from typing import cast

from loki_hooks.domain.surface import Aspect, Change, Compared, Unread, What
from loki_hooks.domain.writing.documents import is_specification
from loki_hooks.domain.writing.foreign import foreign, is_made
from loki_hooks.surface.defaults import holds_settings
from loki_hooks.surface.languages import LANGUAGES, language_of
from loki_hooks.surface.manifests import is_manifest
from loki_hooks.surface.packages import UNKNOWN, Packages
from loki_hooks.surface.reader import FOLLOWING, Following, Reader, load

BY_NAME = {"defaults": holds_settings, "manifests": is_manifest, "openapi": is_specification}
"""The readers of files that are told by their names: the program's settings, its manifests, what it is made from."""
_NO_PARSER = """
.c .h .cc .cpp .cxx .hh .hpp .hxx .m .mm .cs .fs .vb .php .kt .kts .swift .scala .groovy .clj .cljs .ex .exs .erl .hs .ml .mli
.lua .pl .pm .r .jl .dart .zig .nim .sh .bash .zsh .fish .ps1 .vue .svelte .sql .proto .graphql .pyx .pxd
"""
UNREADABLE = frozenset(_NO_PARSER.split())
"""Code that no reader here can parse: it is named at file level."""
MAX_CHARACTERS = 250_000
"""Longer than what people write by hand. The slowest reader takes some four seconds of a processor for so many."""


def compare_sources(before: Mapping[str, str], after: Mapping[str, str], packages: Packages = UNKNOWN) -> Compared:
    """Return what changed of the surface. Both sides map a repository path to the file's text.

    All files that changed, and context (:func:`context_paths`) that is equal on both sides. ``packages`` tells what
    others can import.
    """
    before, after = (_written(side) for side in (before, after))
    paths = sorted(before.keys() | after.keys())
    changed = {p for p in paths if before.get(p) != after.get(p)}
    refused = [u for p in paths if (u := _unreadable(p, before, after))]
    skipped = {u.file for u in refused}
    unread = [u for u in refused if u.file in changed]
    changes: list[Change] = []
    for name, files in _by_reader(p for p in paths if p not in skipped):
        if changed.isdisjoint(files):
            continue
        old, new = ({p: side[p] for p in files if p in side} for side in (before, after))
        try:
            compared = _reader(name).changes(old, new, packages)
        except ImportError:
            unread += [Unread(p, f"no reader of {name} is installed", unknown=True) for p in files if p in changed]
            continue
        changes += [c for c in compared.changes if c.aspect is not Aspect.PUBLIC or not packages.is_application(c.file)]
        unread += compared.unread
    return Compared(
        tuple(sorted(_once(changes, after), key=lambda c: (c.file, c.line, c.symbol, c.aspect, c.what))),
        tuple(sorted(unread, key=lambda u: u.file)),
    )


def context_paths(changed: Collection[str], all_paths: Collection[str]) -> set[str]:
    """Return which files that did not change the readers want to see beside those that did.

    ``all_paths``: every path of the newer tree.
    """
    wanted: set[str] = set()
    for name, files in _by_reader(sorted(changed)):
        own = [p for p in all_paths if p.endswith(LANGUAGES.get(name, ())) and not ignored(p)]
        wanted |= _reader(name).context(files, own)
    if any(language_of(path) for path in changed):
        wanted |= {p for p in all_paths if is_specification(p)}
    return wanted - set(changed)


def follows(path: str) -> bool:
    """Return whether the file's reader, once it has seen the file, may want to see others."""
    return reader_of(path) in FOLLOWING


def following_paths(texts: Mapping[str, str], all_paths: Collection[str], packages: Packages) -> set[str]:
    """Return which more files the readers want to see, once they have seen those: what is imported, or derived from."""
    wanted: set[str] = set()
    for name, files in _by_reader(texts):
        if name in FOLLOWING:
            wanted |= cast(Following, _reader(name)).follow({p: texts[p] for p in files}, all_paths, packages)
    return {path for path in wanted if not ignored(path)} - texts.keys()


def reader_of(path: str) -> str:
    """Return the name of the reader for the file, '' where its changes say nothing about the surface (or none can read it)."""
    if ignored(path):
        return ""
    return next((name for name, told in BY_NAME.items() if told(path)), language_of(path))


def ignored(path: str) -> bool:
    """Return whether the file is a test or a sample, or was written by others or by a tool."""
    return foreign(path) is not None


def _written(side: Mapping[str, str]) -> dict[str, str]:
    """Return the files but those whose text shows that a tool wrote them."""
    return {path: text for path, text in side.items() if not (language_of(path) and is_made(path, text))}


def _once(changes: list[Change], after: Mapping[str, str]) -> list[Change]:
    """Leave out what is said elsewhere as well: of a variable in a file of settings, and of an endpoint in a specification."""
    in_code = {(c.symbol, c.what) for c in changes if reader_of(c.file) not in BY_NAME}
    found = [c for c in changes if reader_of(c.file) not in BY_NAME or (c.symbol, c.what) not in in_code]
    if not any(map(is_specification, after)):
        return found
    from loki_hooks.surface.openapi import erased, served

    there = served(after)
    return [
        c for c in found if not (c.aspect is Aspect.ENDPOINT and c.what is What.REMOVED and erased(c.symbol) in there)
    ]


def _unreadable(path: str, before: Mapping[str, str], after: Mapping[str, str]) -> Unread | None:
    if ignored(path):
        return None
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in UNREADABLE:
        return Unread(path, f"no parser for {suffix}", unknown=True)
    if reader_of(path) and max(len(before.get(path, "")), len(after.get(path, ""))) > MAX_CHARACTERS:
        return Unread(path, f"longer than {MAX_CHARACTERS:,} characters")
    return None


def _by_reader(paths: Iterable[str]) -> list[tuple[str, list[str]]]:
    read = sorted((name, p) for p in paths if (name := reader_of(p)))
    return [(name, [p for _, p in group]) for name, group in groupby(read, key=lambda pair: pair[0])]


def _reader(name: str) -> Reader:
    return cast(Reader, import_module(f"loki_hooks.surface.{name}")) if name in BY_NAME else load(name)
