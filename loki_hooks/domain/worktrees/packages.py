"""Which folders of a repository are packages of their own (a monorepo's), told by the paths that git tracks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from loki_hooks.domain.worktrees.setup_plan import LOCKS

MANIFESTS = ("package.json", "pyproject.toml", "setup.py", "go.mod", "Cargo.toml", "Gemfile", "composer.json")
DEEPEST = 3
MOST = 20
_NOT_PRODUCT = frozenset(
    {
        *("test", "tests", "__tests__", "testdata", "fixtures", "__fixtures__", "e2e", "spec"),
        *("example", "examples", "demo", "demos", "sample", "samples", "benchmark", "benchmarks", "docs"),
        *("template", "templates", "vendor", "third_party", "node_modules", ".venv"),
    }
)
"""What lies below these is there to be read or tried, and is not installed to work on the project."""


def packages(tracked: Iterable[str]) -> Mapping[str, frozenset[str]]:
    """Return the folders of packages below the root, each with the names of its manifests and lock files, by path."""
    found: dict[str, set[str]] = {}
    for path in tracked:
        folder, _, name = path.rpartition("/")
        parts = folder.split("/")
        if folder and name in {*LOCKS, *MANIFESTS} and len(parts) <= DEEPEST and _NOT_PRODUCT.isdisjoint(parts):
            found.setdefault(folder, set()).add(name)
    return {folder: frozenset(found[folder]) for folder in sorted(found)[:MOST]}
