"""The merge train: streams merged one on the other, their last tree tested once, culprits found by bisection.

A car is one stream's merge commit on the car before. Trees, not commits, have gate results, so whatever is
asked again is answered from what is known. The cost of 8 good streams is one run; of 8 with one culprit the
whole, three halvings and the rest again. Where two trees may be tested at once, the last halving and the rest are
the two rests instead, side by side: as many runs, a round less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loki_hooks.domain.gates.results import Standing


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
class Without:
    """A train without one of the cars that it is compared for, and how its last tree stands."""

    train: Train
    standing: Standing


@dataclass(frozen=True)
class LandUpTo:
    """The cars up to ``index`` may land; those behind it, if any, stay."""

    index: int


@dataclass(frozen=True)
class LandWithout:
    """The train without car ``index`` passes, and does not with it: that one is to blame, the rest may land."""

    index: int


@dataclass(frozen=True)
class RunTests:
    """The tree of car ``index`` must be tested next; ``BASE`` is the integration branch's own."""

    __test__ = False  # pytest: not a test class
    index: int


@dataclass(frozen=True)
class Compare:
    """One of two neighbours is to blame: the trains without each of ``indexes`` are tested at once."""

    indexes: tuple[int, ...]


@dataclass(frozen=True)
class Blame:
    """Car ``index`` breaks the tests: without it they pass, or (``proved`` False) that is still to be shown."""

    index: int
    proved: bool


@dataclass(frozen=True)
class Blocked:
    """The tree of car ``index`` could not be tested: nobody is blamed and nothing lands for now."""

    index: int


@dataclass(frozen=True)
class PreExisting:
    """The integration branch itself fails, and so does all that was tested on it: nobody is blamed, nothing lands."""


Move = LandUpTo | LandWithout | RunTests | Compare | Blame | Blocked | PreExisting
BASE = -1
ENOUGH_TO_COMPARE = 4
"""Cars of a train."""


def next_move(
    standings: Sequence[Standing],
    base: Standing = Standing.UNKNOWN,
    *,
    suspected: bool = False,
    slots: int = 1,
    rests: Mapping[int, Standing] | None = None,
) -> Move:
    """Return what to do next, given how the tree of each car, and the integration branch's own, stand.

    There is at least one car. Between the last prefix that passed and the first that did not lies the culprit. One
    in front of which nothing is known to have passed is not yet proved: the integration branch itself may be red.
    That is asked as soon as somebody is ``suspected`` (failed alone) and the train without them fails too.
    Where a tree could not be tested (an endless loop, say), and the integration branch's can be, the same search
    finds the car that is in the way: what is before it lands, it waits, nobody is blamed.

    ``slots``: how many trees may be tested at once. ``rests``: of the pair that `to_compare` names, how the train
    without each of them stands; a missing one cannot be built.
    """
    last = len(standings) - 1
    if standings[last] is Standing.PASSED:
        return LandUpTo(last)
    if standings[last] is Standing.UNKNOWN:
        return RunTests(last)
    passed, stuck = _between(standings)
    blocked = standings[stuck] is Standing.BLOCKED
    if blocked and passed == BASE and base is not Standing.PASSED:
        return RunTests(BASE) if base is Standing.UNKNOWN else Blocked(stuck)
    if not blocked and passed == BASE and base is Standing.FAILED:
        return PreExisting()
    if not blocked and passed == BASE and base is Standing.UNKNOWN and suspected:
        return RunTests(BASE)
    compared = _compare(to_compare(standings, base, slots), rests or {})
    if compared is not None:
        return compared
    if stuck - passed > 1:
        return RunTests((passed + stuck) // 2)
    if not blocked:
        return Blame(stuck, proved=passed != BASE or base is Standing.PASSED)
    return Blocked(stuck) if passed == BASE else LandUpTo(passed)


def to_compare(standings: Sequence[Standing], base: Standing, slots: int) -> tuple[int, ...]:
    """Return the two cars of which one is to blame, where testing the train without either of them at once is no dearer.

    One after the other it would be: the first of them, then the rest without the culprit. At once it is the two rests,
    of which one passes (and lands at once) unless there is another culprit. Earlier in the search, or where nothing is
    known to pass, testing side by side would cost runs that the search does without; with a handful of cars it is not
    worth another worktree and its set-up. () for: one after the other.
    """
    if slots < 2 or len(standings) < ENOUGH_TO_COMPARE or standings[-1] is not Standing.FAILED:
        return ()
    passed, stuck = _between(standings)
    safe = passed != BASE or base is Standing.PASSED
    if stuck - passed != 2 or standings[stuck] is not Standing.FAILED or not safe:
        return ()
    return stuck - 1, stuck


def _between(standings: Sequence[Standing]) -> tuple[int, int]:
    """Return the last car that passed before the first that did not (``BASE`` for none), and that one."""
    stuck = min(i for i, s in enumerate(standings) if s in {Standing.FAILED, Standing.BLOCKED})
    return max((i for i in range(stuck) if standings[i] is Standing.PASSED), default=BASE), stuck


def _compare(pair: tuple[int, ...], rests: Mapping[int, Standing]) -> LandWithout | Compare | None:
    if not pair or any(index not in rests for index in pair):
        return None
    passed = [index for index in pair if rests[index] is Standing.PASSED]
    if passed:
        return LandWithout(passed[-1])
    unknown = tuple(index for index in pair if rests[index] is Standing.UNKNOWN)
    return Compare(unknown) if unknown else None
