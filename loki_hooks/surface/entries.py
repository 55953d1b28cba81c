"""Which modules a JavaScript package's manifest names as its entries, also where it names what is built from them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from itertools import product
from typing import Any

_SUFFIXES = (".ts", ".tsx", ".mts", ".cts", ".js", ".mjs", ".cjs", ".jsx", ".d.ts", ".d.mts", ".d.cts")
_FIELDS = ("source", "types", "typings", "module", "main", "browser")
_BUILT = frozenset({"dist", "build", "lib", "out", "es", "esm", "cjs", "umd", "types", "typings", "dist-types", "output", "bin",
                    "node", "browser", "commonjs", "legacy", "esm5", "es6", "mjs", "tmp", "_esm", "package"})  # fmt: skip
_SOURCES = ("src", "", "lib", "source", "ts", "js")
_MOST = 2_000


def entries_of(folder: str, manifest: Mapping[str, Any], paths: Collection[str]) -> frozenset[str] | None:
    """Return the source modules behind the entries, None where none of them can be told."""
    told = [text for name in _FIELDS if isinstance(text := manifest.get(name), str)]
    exports = list(_leaves(manifest.get("exports"), 0))
    named = exports or told
    if not named:
        named = ["index"]
    found = {path for text in [*named, *(told if exports else [])] for path in _sources(folder, text, paths)}
    return frozenset(found) or None


def _leaves(value: object, depth: int) -> Iterator[str]:
    """Yield the files that ``exports`` leads to, whatever the conditions."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and depth < 8:
        for one in value:
            yield from _leaves(one, depth + 1)
    elif isinstance(value, dict) and depth < 8:
        for key, one in value.items():
            if not str(key).startswith(("./internal", "./package.json", "#")):
                yield from _leaves(one, depth + 1)


def _sources(folder: str, text: str, paths: Collection[str]) -> list[str]:
    if not text.startswith((".", "/")) or text.startswith("./"):
        text = text.removeprefix("./")
    if text.endswith((".json", ".css")):
        return []
    if "*" in text:
        return list(_by_pattern(folder, text, paths))
    for candidate in _candidates(folder, text):
        if candidate in paths:
            return [candidate]
    return []


def _candidates(folder: str, text: str) -> Iterator[str]:
    """Yield where the module may stand: as it is written, with any suffix, or where it is built from."""
    whole = posixpath.normpath(posixpath.join(folder, text)) if text not in {"", "."} else folder
    yield whole
    for stem in dict.fromkeys((whole, _stem(whole))):
        for suffix in _SUFFIXES:
            yield stem + suffix
        for suffix in _SUFFIXES:
            yield posixpath.join(stem, f"index{suffix}")
    parts = text.split("/")
    while parts and parts[0] in _BUILT:
        parts = parts[1:]
    rest = _stem("/".join(parts))
    first = rest.partition(".")[0]
    for source, stem, suffix in product(_SOURCES, dict.fromkeys((rest, first)), _SUFFIXES):
        yield posixpath.normpath(posixpath.join(folder, source, stem or "index")) + suffix
    for source, suffix in product(_SOURCES, _SUFFIXES):
        if rest in {"index", posixpath.basename(folder), "main", "mod"}:
            yield posixpath.normpath(posixpath.join(folder, source, "index")) + suffix


def _by_pattern(folder: str, text: str, paths: Collection[str]) -> Iterator[str]:
    parts = text.split("/")
    while parts and parts[0] in _BUILT:
        parts = parts[1:]
    below = f"{folder}/" if folder else ""
    inner = re.escape(_stem("/".join(parts))).replace(r"\*", ".+")
    pattern = re.compile(rf"{re.escape(below)}(?:(?:src|lib|source)/)?{inner}(?:\.\w+)+")
    found = 0
    for path in paths:
        if path.startswith(below) and path.endswith(_SUFFIXES) and pattern.fullmatch(path):
            found += 1
            if found > _MOST:
                return
            yield path


def _stem(path: str) -> str:
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if path.endswith(suffix):
            return path.removesuffix(suffix)
    return path
