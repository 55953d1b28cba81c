"""How the integration branch moves on, what hinders it, and when it is pushed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from loki_hooks.domain.gates.results import Standing
from loki_hooks.domain.reconcile.base import MainStep, StreamStep
from loki_hooks.domain.reconcile.facts import Facts, Join
from loki_hooks.domain.reconcile.gates import Test, tip_test
from loki_hooks.domain.train.search import Car

NO_GATE = "no gate is configured on the integration branch: nothing lands by itself"


@dataclass(frozen=True)
class Land(MainStep):
    """Move the integration branch from ``old`` to ``commit``, which merges ``cars`` and whose ``tree`` passed."""

    word: ClassVar[str] = "land"
    commit: str
    tree: str
    old: str
    cars: tuple[Car, ...]

    @property
    def target(self) -> str:
        return self.tree


@dataclass(frozen=True)
class Propose(StreamStep):
    """Open the pull request of a stream that passed at ``commit``."""

    word: ClassVar[str] = "propose"
    commit: str


@dataclass(frozen=True)
class Forward(MainStep):
    """Move the integration branch from ``old`` to ``commit``: what its upstream is at, ``upstream``, or is merged with."""

    word: ClassVar[str] = "forward"
    commit: str
    old: str
    upstream: str

    @property
    def target(self) -> str:
        return self.commit


@dataclass(frozen=True)
class PushTip(MainStep):
    """Push the integration branch at ``commit``. ``held``: why that has to wait, '' when it need not."""

    word: ClassVar[str] = "push"
    commit: str
    held: str

    @property
    def target(self) -> str:
        return self.commit


def catch_up(facts: Facts) -> Iterator[Forward | Test]:
    """Follow the upstream; where the two have diverged, test the two merged, and go on as that when it passes."""
    if facts.behind and not facts.diverged:
        yield Forward(facts.upstream, facts.tip, facts.upstream)
    match facts.join:
        case Join(problem="", standing=Standing.PASSED) as join:
            yield Forward(join.commit, facts.tip, facts.upstream)
        case Join(problem="", standing=Standing.UNKNOWN) as join if (
            not facts.untrusted and join.tree not in facts.running
        ):
            yield Test(join.commit, join.tree)


def trouble(facts: Facts) -> str:
    """Return why nothing may be tested or land now, '' for nothing."""
    troubles = (
        (not facts.gates, NO_GATE),
        (facts.diverged, _diverged(facts)),
        (facts.behind, "the integration branch is behind its upstream and must catch up first"),
    )
    return next((why for there, why in troubles if there), facts.train_problem)


def _diverged(facts: Facts) -> str:
    """Return how it is with an integration branch and an upstream that have diverged."""
    told = "the integration branch and its upstream have diverged"
    match facts.join:
        case None:
            return told
        case Join(problem="", standing=Standing.UNKNOWN):
            return f"{told}: {facts.untrusted or 'the two merged are being tested'}"
        case Join(problem="", standing=Standing.PASSED):
            return f"{told}: the integration branch waits to move on to the two merged"
        case Join(problem=""):
            return f"{told}: the gate does not pass on the two merged, see test-results.json"
        case Join(problem=problem):
            return f"{told}: {problem}"


def prove(facts: Facts, under_test: list[str]) -> Iterator[Test]:
    """What moved the integration branch past the gate is tested before it is pushed."""
    unknown = facts.gates and facts.base is Standing.UNKNOWN and facts.tip_tree not in {"", *under_test}
    if _to_push(facts) and unknown and not facts.untrusted:
        yield tip_test(facts)


def push(facts: Facts) -> Iterator[PushTip]:
    """Push what the upstream has not."""
    if _to_push(facts):
        yield PushTip(facts.tip, _unproved(facts))


def _to_push(facts: Facts) -> bool:
    return facts.merge_push and facts.ahead and not facts.diverged and bool(facts.tip)


def _unproved(facts: Facts) -> str:
    """Return why the integration branch must not be pushed as it is, '' when it may: only what passed is."""
    if not facts.gates:
        return "no gate is configured on it, and only what passed one is pushed"
    match facts.base:
        case Standing.PASSED:
            return ""
        case Standing.FAILED:
            return "the gate fails on it: see test-results.json"
        case Standing.BLOCKED:
            return "the gate could not be run on it: see test-results.json"
        case Standing.UNKNOWN:
            return facts.untrusted or "it has not passed the gate yet"
