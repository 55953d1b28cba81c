"""Which paths a tool rebuilds: they are not work, and not the project's own files."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection

CACHES = (
    "node_modules",
    ".venv",
    "venv",
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
    "build",
    "dist",
    "target",
    ".gradle",
    ".next",
    ".nuxt",
    ".turbo",
    ".parcel-cache",
    ".cache",
    ".DS_Store",
    "vendor/bundle",
    ".bundle",
    ".pnpm-store",
)
"""Ignored paths that a tool rebuilds; they are not work (README, "What clean-up may take")."""


def is_cache(name: str, caches: Collection[str] = CACHES) -> bool:
    """Return whether an ignored path is what tools rebuild: it, a folder above it, or a part of it fits a pattern."""
    parts = name.rstrip("/").split("/")
    starts = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
    return any(fnmatch.fnmatchcase(part, pattern) for part in (*parts, *starts) for pattern in caches)
