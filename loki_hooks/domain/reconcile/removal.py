"""Which streams are cleaned up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from loki_hooks.domain.reconcile.base import StreamStep
from loki_hooks.domain.reconcile.facts import Facts
from loki_hooks.domain.streams.status import Status


@dataclass(frozen=True)
class Clean(StreamStep):
    """Remove the branch and the worktree of a stream that landed, where nothing would be lost."""

    word: ClassVar[str] = "clean"


def clean(facts: Facts) -> Iterator[Clean]:
    """Clean up what was spawned and has landed."""
    if facts.cleanup_auto:
        for s in facts.streams:
            if s.record.status is Status.MERGED and s.record.origin == "spawned" and s.record.stream not in facts.kept:
                yield Clean(s.record.stream)
