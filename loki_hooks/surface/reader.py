"""What a reader is: one more language is a folder beside this file, and a line in ``LANGUAGES`` (`languages.py`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import import_module
from typing import Protocol, cast

from loki_hooks.domain.surface import Compared
from loki_hooks.surface.packages import Packages

FOLLOWING = frozenset({"javascript", "java", "ruby"})
"""The readers that are :class:`Following`, too."""


class Reader(Protocol):
    """A module that reads one language. It is loaded, with its parser, only when a file needs it."""

    def changes(self, before: Mapping[str, str], after: Mapping[str, str], packages: Packages) -> Compared:
        """Return what changed of the surface. Both sides map a repository path to the file's text."""

    def context(self, changed: Collection[str], all_paths: Collection[str]) -> set[str]:
        """Return the files that did not change, and are to be seen beside those that did."""


class Following(Protocol):
    """A reader that may want to see more, once it has seen the texts: what they import, or derive from."""

    def follow(self, texts: Mapping[str, str], all_paths: Collection[str], packages: Packages) -> set[str]:
        """Return the paths of more files to see."""


def load(language: str) -> Reader:
    """Return the reader. Raises ``ModuleNotFoundError`` for a language that ``LANGUAGES`` does not have."""
    return cast(Reader, import_module(f"loki_hooks.surface.{language}.reader"))
