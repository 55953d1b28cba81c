"""Files of default settings in TOML, YAML, JSON and ``.env``: each key is an option."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from loki_hooks.domain.surface import Compared

SUFFIXES = (".toml", ".yaml", ".yml", ".json")


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> Compared:  # noqa: ARG001 - follows
    """Return how the options changed."""
    return Compared()


def context(changed: Collection[str], all_paths: Collection[str]) -> set[str]:  # noqa: ARG001 - each file stands alone
    """Return nothing."""
    return set()
