"""The merge train: streams merged one on the other, their last tree tested once, culprits found by bisection.

A car is one stream's merge commit on the car before. Trees, not commits, have gate results, so whatever is
asked again is answered from what is known. The cost of 8 good streams is one run; of 8 with one culprit the
whole, three halvings and the rest again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loki_hooks.domain.gates import Standing


@dataclass(frozen=True)
class Car:
    """``commit`` merges ``tip`` (the stream's) on the car before; ``tree`` is what it contains."""

    stream: str
    tip: str
    commit: str
    tree: str


@dataclass(frozen=True)
class Train:
    """``base`` is the integration branch's commit that the first car stands on."""

    base: str
    cars: tuple[Car, ...] = ()


@dataclass(frozen=True)
class Land:
    """All the train's cars may land."""


@dataclass(frozen=True)
class Test:
    """The tree of car ``index`` must be tested next."""

    __test__ = False  # pytest: not a test class
    index: int


@dataclass(frozen=True)
class Blame:
    """Car ``index`` breaks the tests: without it they pass, or (``proved`` False) that is still to be shown."""

    index: int
    proved: bool


@dataclass(frozen=True)
class Blocked:
    """The tree of car ``index`` could not be tested: nobody is blamed and nothing lands for now."""

    index: int


Move = Land | Test | Blame | Blocked


def next_move(standings: Sequence[Standing]) -> Move:
    """Return what to do next, given how the tree of each car stands. There is at least one car.

    Between the last prefix that passed and the first that failed lies the culprit. A culprit in front of
    which nothing is known to have passed is not yet proved: the integration branch itself may be red.
    """
    last = len(standings) - 1
    if standings[last] is Standing.PASSED:
        return Land()
    if standings[last] is Standing.UNKNOWN:
        return Test(last)
    if standings[last] is Standing.BLOCKED:
        return Blocked(last)
    failed = min(i for i, s in enumerate(standings) if s is Standing.FAILED)
    passed = max((i for i in range(failed) if standings[i] is Standing.PASSED), default=-1)
    if failed - passed == 1:
        return Blame(failed, proved=passed >= 0)
    middle = (passed + failed) // 2
    if standings[middle] is Standing.BLOCKED:
        return Blocked(middle)
    return Test(middle)
