"""Which trees are tested: a car's, or the integration branch's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from loki_hooks.domain.reconcile.base import MainStep
from loki_hooks.domain.reconcile.facts import Facts
from loki_hooks.domain.train.search import Car, Train


@dataclass(frozen=True)
class Test(MainStep):
    """Run the gates on ``tree``, which ``commit`` has: as it is, or as what ``cars`` merge.

    ``pin``: under which name the tested train is kept, '' for not at all; ``places``: how many tests there may be at
    once when this one is made. ``passed``: how many of the cars have passed before; ``again``: what is known does not count.
    """

    __test__: ClassVar[bool] = False  # pytest: not a test class
    word: ClassVar[str] = "test"
    commit: str
    tree: str
    cars: tuple[Car, ...] = ()
    pin: str = ""
    places: int = 1
    passed: int = 0
    again: bool = False

    @property
    def target(self) -> str:
        return self.tree


@dataclass(frozen=True)
class Cancel(MainStep):
    """End the run of the gates on ``tree``."""

    word: ClassVar[str] = "cancel"
    reason: ClassVar[str] = "nothing depends on its result any more"
    tree: str

    @property
    def target(self) -> str:
        return self.tree


def car_test(train: Train, car: Car, pin: str, passed: int = 0) -> Test:
    """Return the test of what the train is up to the car; so many of its cars have ``passed`` before."""
    return Test(car.commit, car.tree, train.cars, pin, passed=passed)


def tip_test(facts: Facts) -> Test:
    """Return the test of the integration branch as it is."""
    return Test(facts.tip, facts.tip_tree)


def useful_trees(facts: Facts, wanted: Sequence[Test]) -> frozenset[str]:
    """Return the trees whose result somebody waits for, where these tests are wanted."""
    return frozenset({test.tree for test in wanted} | ({facts.join.tree} if facts.join else set()))


def cancel_useless(facts: Facts, useful: frozenset[str]) -> Iterator[Cancel]:
    """End what is under test and need not be any more."""
    for tree in sorted(facts.running - useful):
        yield Cancel(tree)


def tests_in_room(facts: Facts, wanted: Sequence[Test], useful: frozenset[str]) -> Iterator[Test]:
    """Start what is wanted as far as there is room."""
    running = len(facts.running & useful)
    room = max(facts.slots - running, 0)
    new = [test for test in wanted if test.tree not in facts.running and test.key not in facts.put_off][:room]
    for test in new:  # one that was ended still has its worktree for a moment: that is waited for
        yield replace(test, places=running + len(new))
