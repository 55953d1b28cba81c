"""Which gate configuration is in force: the integration branch's, but what a stream changed of it waits for a person.

The commit whose configuration was in force last is kept with the user's word (`trust.py`), outside the repository. Where
the branch says something else now, and a stream brought that, the former tables stay in force until `trust`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from loki_hooks.domain.config import Config

if TYPE_CHECKING:
    from loki_hooks.system.git.git import Git
    from loki_hooks.system.site import Site

TABLES = ("gates", "results", "push", "merge")


def changed_tables(one: Config, other: Config) -> tuple[str, ...]:
    """Return which of the tables that decide what lands differ."""
    return tuple(name for name in TABLES if getattr(one, name) != getattr(other, name))


def with_former(config: Config, current: Config, former: Config) -> Config:
    """Return ``config`` with the former tables in the place of those that it has as ``current`` has them."""
    same = {name: getattr(former, name) for name in TABLES if getattr(config, name) == getattr(current, name)}
    return replace(config, **same)


def brought_by_a_stream(site: Site, git: Git, former: str, now: str, files: Iterable[str], current: Config) -> bool:
    """Whether a stream made one of the commits that changed the files since ``former``."""
    from loki_hooks.system.store.state import StateStore

    names = list(files)
    changed = set((git.maybe("rev-list", "--full-history", now, f"^{former}", "--", *names) or "").split())
    if not changed:
        return False
    for record in StateStore(site).read().streams.values():
        if record.standing:
            continue
        if record.landed in changed and current.merge.how_of(record.kind).squashes:
            return True
        for at in {record.tip, git.commit_id(f"refs/heads/{record.branch}") or ""} - {""}:
            without = [f"^{record.base}"] if record.base else []
            own = git.maybe("rev-list", "--full-history", at, *without, "--", *names) or ""
            if not changed.isdisjoint(own.split()):
                return True
    return False
