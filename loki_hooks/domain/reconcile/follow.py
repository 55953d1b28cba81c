"""What follows from a move of the integration branch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from loki_hooks.domain.reconcile.base import MainStep
from loki_hooks.domain.reconcile.facts import Facts


@dataclass(frozen=True)
class Follow(MainStep):
    """Draw the consequences of the integration branch's move from ``old`` to ``commit``."""

    word: ClassVar[str] = "follow"
    commit: str
    old: str

    @property
    def target(self) -> str:
        return self.commit


def follow(facts: Facts) -> Iterator[Follow]:
    """Follow a tip whose consequences were not drawn yet."""
    if facts.tip and facts.processed != facts.tip:
        yield Follow(facts.tip, facts.processed)
