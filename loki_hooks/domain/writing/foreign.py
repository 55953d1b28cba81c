"""Which paths of a tree are tests, and which others or tools wrote: the one list that readers and documents share."""

from __future__ import annotations

from itertools import pairwise
from pathlib import PurePosixPath

_TESTS = frozenset({"test", "tests", "spec", "specs", "__tests__", "__mocks__", "e2e", "testdata", "fixtures"})
_VENDORED = {"node_modules", "vendor", "vendored", "_vendor", "third_party", "thirdparty", "bower_components"}
_MADE = {"site-packages", ".venv", "venv", "__pycache__", ".git", ".tox", ".nox", ".eggs", "generated", "__generated__"}
_FOREIGN = frozenset(_VENDORED | _MADE)
_BUILT = frozenset({"build", "dist", "target"})
_OWN = frozenset({"src", "lib", "doc", "docs"})
"""Directly below these a folder called ``build`` or ``target`` is somebody's package, or a chapter."""
_MARKS = (".min.", ".generated.", ".pb.", "_pb2", ".g.dart")


def is_test(path: str) -> bool:
    """Return whether the file is a test, or stands among tests."""
    *folders, name = PurePosixPath(path).parts
    stem = name.split(".", 1)[0]
    return (
        not _TESTS.isdisjoint(folders)
        or stem.startswith("test_")
        or stem.endswith(("_test", "_tests", "_spec"))
        or stem == "conftest"
        or any(mark in name for mark in (".test.", ".spec."))
        or (name.endswith((".java", ".kt", ".cs")) and stem.endswith(("Test", "Tests", "IT")))
    )


def is_foreign(path: str) -> bool:
    """Return whether others wrote the file, or a tool did: what changes in it is no promise of this project."""
    *folders, name = PurePosixPath(path).parts
    return (
        not _FOREIGN.isdisjoint(folders)
        or any(folder in _BUILT and above not in _OWN for above, folder in pairwise(["", *folders]))
        or any(mark in name for mark in _MARKS)
    )
