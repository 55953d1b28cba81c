"""Which files of a tree are documents, and of which sort."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from loki_hooks.domain.writing.foreign import is_foreign, is_test
from loki_hooks.domain.writing.pages import PROSE_SUFFIXES, Page, Place

_CHANGELOG = re.compile(r"(?:^|^docs?/)(?:change(?:s|log)|history|news|release[-_]?notes)(?:\.\w+)?$", re.IGNORECASE)
_FRAGMENTS = re.compile(r"^(?:\.changeset|changelog\.d|changelogs?|newsfragments|news|changes|releasenotes|\.changes)/")
_README = re.compile(r"(?:^|/)readme(?:\.\w+)?$", re.IGNORECASE)
_API = re.compile(r"(?:^|/)[\w.-]*(?:openapi|swagger)[\w.-]*\.(?:ya?ml|json)$", re.IGNORECASE)
_UPGRADE = re.compile(r"(?:^|/)[^/]*(?:migrat|upgrad)[^/]*$", re.IGNORECASE)
_BINARY = re.compile(
    r"\.(?:png|jpe?g|gif|svg|ico|webp|bmp|pdf|zip|gz|tar|whl|woff2?|ttf|eot|otf|mp4|webm|mp3|wav|psd|ai|pyc|so|dll|exe|po|mo|"
    r"lock|css|scss|js|map|ipynb)$",
    re.IGNORECASE,
)
_MACHINERY = re.compile(
    r"(?:^|/)(?:conf\.py|Makefile|make\.bat|requirements[^/]*\.txt|[^/]*\.toml|mkdocs\.ya?ml|_config\.ya?ml)$"
)
"""What builds documents is none."""
_DEFINED = re.compile(
    r"^[ \t]*(?:export\s+|pub(?:\([^)]*\))?\s+|public\s+|static\s+|async\s+|default\s+)*"
    r"(?:def|class|function\*?|func(?:\s*\([^)]*\))?|fn|type|interface|struct|enum|trait|const|let|var|module)\s+([A-Za-z_]\w*)"
    r"|^([A-Za-z_]\w*)\s*(?::[^=\n]+)?=(?!=)|^(?:exports|module\.exports|[a-z]+(?:\.prototype)?)\.(\w+)\s*=",
    re.MULTILINE,
)
_DOCSTRINGS = re.compile(r"\.(?:pyi?|jsx?|mjs|cjs|tsx?|go|rs|java|rb)$")
_TRIPLE = re.compile(r"(\"\"\"|''')(.*?)\1", re.DOTALL)


def place_of(path: str, patterns: Iterable[str]) -> Place | None:
    """Return which sort of document the path is; None when it is none. ``patterns``: the configured ``docs.paths``."""
    if is_foreign(path) or _BINARY.search(path) or _MACHINERY.search(path):
        return None
    if is_changelog(path):
        return Place.CHANGELOG
    if _README.search(path):
        return None if is_test(path) else Place.README
    if _API.search(path):
        return Place.API
    return Place.DOCS if any(_glob(pattern).fullmatch(path) for pattern in patterns) else None


def is_document(path: str, patterns: Iterable[str]) -> bool:
    """Whether a change of the path alone is a change of documentation: it makes no work for documentation."""
    if place_of(path, patterns) is not None or _FRAGMENTS.match(path) or _BINARY.search(path):
        return True
    return path.lower().endswith(tuple(suffix for suffix in PROSE_SUFFIXES if suffix and suffix != ".txt"))


def is_changelog(path: str) -> bool:
    return _CHANGELOG.search(path) is not None


def is_fragment(path: str) -> bool:
    """Whether the path is a piece of a changelog that a tool puts together."""
    return _FRAGMENTS.match(path) is not None


def is_upgrade_guide(path: str) -> bool:
    return _UPGRADE.search(path) is not None


def may_have_docstrings(path: str) -> bool:
    return _DOCSTRINGS.search(path) is not None and not is_test(path) and not is_foreign(path)


def names_in(source: str) -> frozenset[str]:
    """Return what a source file seems to define, in any language: good enough to see which documents speak of the file."""
    names = (found[1] or found[2] or found[3] for found in _DEFINED.finditer(source))
    return frozenset(name for name in names if len(name) > 2 and not name.startswith("_"))


def docstrings_of(path: str, text: str) -> Page | None:
    """Return the page of a code file's docstrings and documentation comments; None when it has none.

    Of Python these are the triple-quoted texts; elsewhere comment blocks and lines that are comments alone.
    """
    numbers: set[int] = set()
    if path.endswith((".py", ".pyi")):
        for found in _TRIPLE.finditer(text):
            first = text.count("\n", 0, found.start()) + 1
            numbers.update(range(first, first + found[0].count("\n") + 1))
    else:
        marks = ("#",) if path.endswith(".rb") else ("//", "/*", "*")
        inside = False
        for number, line in enumerate(text.splitlines(), 1):
            bare = line.lstrip()
            inside = inside or bare.startswith("/**")
            if inside or (bare.startswith(marks) and not bare.startswith("*")):
                numbers.add(number)
            inside = inside and "*/" not in bare
    return Page(path, Place.DOCSTRING, text, frozenset(numbers)) if numbers else None


@lru_cache(maxsize=256)
def _glob(pattern: str) -> re.Pattern[str]:
    """Return the pattern as git reads ``:(glob)``: ``*`` stays within a folder, ``**`` does not."""
    text = ""
    index = 0
    bare = pattern.lstrip("/")
    while index < len(bare):
        if bare.startswith("**/", index):
            text, index = text + "(?:.*/)?", index + 3
        elif bare.startswith("**", index):
            text, index = text + ".*", index + 2
        elif bare[index] == "*":
            text, index = text + "[^/]*", index + 1
        elif bare[index] == "?":
            text, index = text + "[^/]", index + 1
        else:
            text, index = text + re.escape(bare[index]), index + 1
    return re.compile(text + ("(?:/.*)?" if not re.search(r"[*?]", bare) else ""))
