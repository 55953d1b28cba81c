"""What a reader is, and which there are: one more language is a folder beside this file, and a line in ``LANGUAGES``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import import_module
from pathlib import PurePosixPath
from typing import Protocol, cast

from loki_hooks.domain.surface import Compared

LANGUAGES = {
    "python": (".py", ".pyi"),
    "javascript": (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts"),
    "go": (".go",),
    "rust": (".rs",),
    "java": (".java",),
    "ruby": (".rb", ".ru", ".rake"),
}
"""By the reader's name (its module is ``<name>/reader.py``) the suffixes of the files that are its own."""


class Reader(Protocol):
    """A module that reads one language. It is loaded, with its parser, only when a file needs it."""

    def changes(self, before: Mapping[str, str], after: Mapping[str, str]) -> Compared:
        """Return what changed of the surface. Both sides map a repository path to the file's text."""

    def context(self, changed: Collection[str], all_paths: Collection[str]) -> set[str]:
        """Return the files that did not change, and are to be seen beside those that did."""


def language_of(path: str) -> str:
    """Return the language of the file by its suffix, '' for none that is read here."""
    suffix = PurePosixPath(path).suffix.lower()
    return next((name for name, suffixes in LANGUAGES.items() if suffix in suffixes), "")


def load(language: str) -> Reader:
    """Return the reader. Raises ``ModuleNotFoundError`` for a language that ``LANGUAGES`` does not have."""
    return cast(Reader, import_module(f"loki_hooks.surface.{language}.reader"))
