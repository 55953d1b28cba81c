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
    """The cars up to ``index`` may land; those behind it, if any, stay."""

    index: int


@dataclass(frozen=True)
class Test:
    """The tree of car ``index`` must be tested next; ``BASE`` is the integration branch's own."""

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
BASE = -1


def next_move(standings: Sequence[Standing], base: Standing = Standing.UNKNOWN) -> Move:
    """Return what to do next, given how the tree of each car, and the integration branch's own, stand.

    There is at least one car. Between the last prefix that passed and the first that did not lies the culprit. One
    in front of which nothing is known to have passed is not yet proved: the integration branch itself may be red.
    Where a tree could not be tested (an endless loop, say), and the integration branch's can be, the same search
    finds the car that is in the way: what is before it lands, it waits, nobody is blamed.
    """
    last = len(standings) - 1
    if standings[last] is Standing.PASSED:
        return Land(last)
    if standings[last] is Standing.UNKNOWN:
        return Test(last)
    stuck = min(i for i, s in enumerate(standings) if s in {Standing.FAILED, Standing.BLOCKED})
    passed = max((i for i in range(stuck) if standings[i] is Standing.PASSED), default=BASE)
    blocked = standings[stuck] is Standing.BLOCKED
    if blocked and passed == BASE and base is not Standing.PASSED:
        return Test(BASE) if base is Standing.UNKNOWN else Blocked(stuck)
    if stuck - passed > 1:
        return Test((passed + stuck) // 2)
    if not blocked:
        return Blame(stuck, proved=passed != BASE)
    return Blocked(stuck) if passed == BASE else Land(passed)
