"""Which ignored paths a tool rebuilds: they are not work, and not the project's own files. Pure.

Some names are a tool's wherever they stand. Others (``build``, ``target`` …) are words that people use for folders of their
own, too: such a folder is a tool's only beside a file that says that the tool works there, or with the tool's own mark in it.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterator
from dataclasses import dataclass

TOOLS_OWN = (
    "node_modules",
    ".venv",
    "__pycache__",
    "*.pyc",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".hypothesis",
    ".tox",
    ".nox",
    "*.egg-info",
    ".coverage",
    ".eggs",
    ".gradle",
    ".next",
    ".nuxt",
    ".turbo",
    ".parcel-cache",
    ".DS_Store",
    ".bundle",
    ".pnpm-store",
)
"""Names that only tools use (README, "What clean-up may take")."""

_PYTHON = ("pyproject.toml", "setup.py", "setup.cfg")
_JAVASCRIPT = ("package.json", "deno.json")
_JVM = ("pom.xml", "build.gradle", "build.gradle.kts", "build.sbt", "build.xml")
_BUILDERS = ("CMakeLists.txt", "meson.build", "Makefile", "configure", "SConstruct", "dune-project", "pubspec.yaml")
TOOLS_WORK_HERE = {
    "build": (*_PYTHON, *_JAVASCRIPT, *_JVM, *_BUILDERS),
    "dist": (*_PYTHON, *_JAVASCRIPT, *_BUILDERS),
    "target": ("Cargo.toml", "project.clj", *_JVM),
    "venv": (),
    ".cache": _JAVASCRIPT,
    "vendor/bundle": ("Gemfile",),
}
"""Names that people use, too → files beside such a folder that say that a tool made it."""
TOOLS_MARKS = ("CACHEDIR.TAG", "pyvenv.cfg", "CMakeCache.txt")
"""Files in such a folder that only tools write."""
CACHES = (*TOOLS_OWN, *TOOLS_WORK_HERE)


@dataclass(frozen=True)
class Named:
    """A path that is named like what a tool rebuilds. ``beside``: the files that prove it; None where the name does."""

    path: str
    beside: tuple[str, ...] | None = None


def is_cache(name: str, caches: Collection[str] = CACHES) -> bool:
    """Return whether a path is named like what tools rebuild: it, a folder above it, or a part of it fits a pattern."""
    return any(_fits(path, caches) for path in ways_to(name))


def named_like_caches(name: str, more: Collection[str] = ()) -> Iterator[Named]:
    """Yield the path and the folders above it that are named like caches, the topmost first. ``more``: a user's patterns."""
    for path in ways_to(name):
        if _fits(path, (*TOOLS_OWN, *more)):
            yield Named(path)
        else:
            for word, beside in TOOLS_WORK_HERE.items():
                if f"/{path}".endswith(f"/{word}"):
                    yield Named(path, beside)


def is_tools_own_name(path: str) -> bool:
    """Return whether the last part of a path is a name that only tools use."""
    return _fits(path.rpartition("/")[2], TOOLS_OWN)


def ways_to(name: str) -> Iterator[str]:
    """Yield the folders above a path, the topmost first, and the path."""
    parts = name.rstrip("/").split("/")
    return ("/".join(parts[:end]) for end in range(1, len(parts) + 1))


def _fits(path: str, patterns: Collection[str]) -> bool:
    """Whether a pattern fits the last part of a path, or all of it."""
    last = path.rpartition("/")[2]
    return any(fnmatch.fnmatchcase(end, pattern) for end in (last, path) for pattern in patterns)
