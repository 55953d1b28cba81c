"""What changed of what the code offers, between two sets of sources: picks the reader for each file (`reader.py`).

Nothing here reads a file: the texts come from git objects.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import groupby
from pathlib import PurePosixPath
from typing import cast

from loki_hooks.domain.surface import Aspect, Change, Compared, Unread
from loki_hooks.domain.writing.foreign import is_foreign, is_test
from loki_hooks.surface.defaults import holds_settings
from loki_hooks.surface.reader import LANGUAGES, Reader, language_of, load

_SETTINGS = "defaults"
"""The reader of files that hold settings: they go by their names."""
_NO_PARSER = """
.c .h .cc .cpp .cxx .hh .hpp .hxx .m .mm .cs .fs .vb .php .kt .kts .swift .scala .groovy .clj .cljs .ex .exs .erl .hs .ml .mli
.lua .pl .pm .r .jl .dart .zig .nim .sh .bash .zsh .fish .ps1 .vue .svelte .sql .proto .graphql .pyx .pxd
"""
UNREADABLE = frozenset(_NO_PARSER.split())
"""Code that no reader here can parse: it is named at file level."""
MAX_CHARACTERS = 500_000
"""Longer than what people write by hand; parsing one such file would take many seconds, and half of the memory allowed."""


def compare_sources(before: Mapping[str, str], after: Mapping[str, str]) -> Compared:
    """Return what changed of the surface. Both sides map a repository path to the file's text.

    All files that changed, and context (:func:`context_paths`) that is equal on both sides.
    """
    paths = sorted(before.keys() | after.keys())
    changed = {p for p in paths if before.get(p) != after.get(p)}
    refused = [u for p in paths if (u := _unreadable(p, before, after))]
    skipped = {u.file for u in refused}
    unread = [u for u in refused if u.file in changed]
    changes: list[Change] = []
    for name, files in _by_reader(p for p in paths if p not in skipped):
        if changed.isdisjoint(files):
            continue
        compared = _reader(name).changes(
            {p: before[p] for p in files if p in before}, {p: after[p] for p in files if p in after}
        )
        changes += compared.changes
        unread += compared.unread
    return Compared(
        tuple(sorted(_once(changes), key=lambda c: (c.file, c.line, c.symbol, c.aspect, c.what))),
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
    return wanted - set(changed)


def reader_of(path: str) -> str:
    """Return the name of the reader for the file, '' where its changes say nothing about the surface (or none can read it)."""
    if ignored(path):
        return ""
    if holds_settings(path):
        return _SETTINGS
    return language_of(path)


def ignored(path: str) -> bool:
    """Return whether the file is a test, or was written by others or by a tool."""
    return is_test(path) or is_foreign(path)


def _once(changes: list[Change]) -> list[Change]:
    """Leave out what a file of settings says of a variable, where the code that reads it says the same."""
    in_code = {(c.symbol, c.what) for c in changes if c.aspect is Aspect.CONFIG and not holds_settings(c.file)}
    return [c for c in changes if not (holds_settings(c.file) and (c.symbol, c.what) in in_code)]


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
    if name == _SETTINGS:
        from loki_hooks.surface import defaults

        return cast(Reader, defaults)
    return load(name)
