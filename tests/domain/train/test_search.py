"""The search of the merge train: it ends, blames nobody who is innocent, lands nobody who is guilty, and is cheap."""

from __future__ import annotations

from math import ceil, log2

from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.gates.results import Standing
from loki_hooks.domain.train.search import (
    BASE,
    Blame,
    Blocked,
    Compare,
    LandUpTo,
    LandWithout,
    PreExisting,
    RunTests,
    next_move,
    to_compare,
)

P, F, B, U = Standing.PASSED, Standing.FAILED, Standing.BLOCKED, Standing.UNKNOWN


def test_the_table_of_moves() -> None:
    assert next_move([U, U, P]) == LandUpTo(2)
    assert next_move([U, U, U]) == RunTests(2)
    assert next_move([U, U, U, F]) == RunTests(1)
    assert next_move([U, F, U, F]) == RunTests(0)
    assert next_move([F, F, U, F]) == Blame(0, proved=False)
    assert next_move([P, F, U, F]) == Blame(1, proved=True)
    assert next_move([P, U, U, F]) == RunTests(1)
    assert next_move([B]) == RunTests(BASE)
    assert next_move([B], B) == Blocked(0)
    assert next_move([B], F) == Blocked(0)
    assert next_move([B], P) == Blocked(0)
    assert next_move([U, U, B], P) == RunTests(0)
    assert next_move([P, B, B], P) == LandUpTo(0)
    assert next_move([U, B, U, F], P) == RunTests(0)


def test_the_last_two_are_compared_at_once_where_there_is_room_and_something_is_known_to_pass() -> None:
    pair = [U, P, U, F]
    assert to_compare(pair, U, 2) == (2, 3)
    assert to_compare(pair, U, 1) == to_compare([U, F, U, F], U, 2) == to_compare([P, U, U, F], P, 2) == ()
    assert to_compare([U, F, U, F], P, 2) == (0, 1)
    assert to_compare([U, F], P, 2) == (), "not worth another worktree"
    for rests, move in (
        ({2: U, 3: U}, Compare((2, 3))),
        ({2: F, 3: U}, Compare((3,))),
        ({2: P, 3: U}, LandWithout(2)),
        ({2: P, 3: P}, LandWithout(3)),
        ({2: F, 3: F}, RunTests(2)),
        ({2: U}, RunTests(2)),
    ):
        assert next_move(pair, slots=2, rests=rests) == move
    assert next_move(pair, rests={2: P, 3: U}) == RunTests(2)


def test_whether_the_integration_branch_is_red_is_asked_once_somebody_is_suspected() -> None:
    assert next_move([U, F]) == RunTests(0)
    assert next_move([U, F], suspected=True) == RunTests(BASE)
    assert next_move([U, F], F) == PreExisting()
    assert next_move([P, U, F], F) == RunTests(1)
    assert next_move([U, U], F) == RunTests(1)


@given(
    st.lists(st.sampled_from(Standing), min_size=1, max_size=12), st.sampled_from(Standing), st.booleans(), st.data()
)
def test_every_state_has_a_move_that_makes_sense(
    standings: list[Standing], base: Standing, suspected: bool, data: st.DataObject
) -> None:
    slots = data.draw(st.integers(1, 3))
    rests = {index: data.draw(st.sampled_from(Standing)) for index in to_compare(standings, base, slots)}
    match next_move(standings, base, suspected=suspected, slots=slots, rests=rests):
        case Compare(indexes):
            assert 0 < len(indexes) <= slots
            assert all(rests[index] is U for index in indexes)
        case LandWithout(index):
            assert rests[index] is P
        case PreExisting():
            assert base is F
            assert P not in standings[: standings.index(F)]
        case LandUpTo(index):
            assert standings[index] is P
        case RunTests(index) if index == BASE:
            assert base is U
        case RunTests(index):
            assert standings[index] is not P or index == len(standings) - 1
        case Blame(index, proved):
            assert standings[index] is F
            assert proved == (index > 0 or base is P)
            assert index == 0 or standings[index - 1] is P
        case Blocked(index):
            assert standings[index] is B
            assert base is not U or index == 0


@given(st.integers(1, 64), st.data())
def test_one_search_finds_the_first_culprit_in_few_runs(cars: int, data: st.DataObject) -> None:
    """A prefix fails as soon as the first culprit is in it."""
    first = data.draw(st.integers(0, cars - 1))
    standings = [U] * cars
    runs = 0
    while isinstance(move := next_move(standings), RunTests):
        assert standings[move.index] is U
        standings[move.index] = F if move.index >= first else P
        runs += 1
    assert isinstance(move, Blame)
    assert move.index == first
    assert runs <= 2 + ceil(log2(cars))


@given(st.integers(1, 64), st.data())
def test_one_search_finds_the_first_that_cannot_be_tested(cars: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, cars - 1))
    standings = [U] * cars
    base = U
    for _ in range(20):
        move = next_move(standings, base)
        if not isinstance(move, RunTests):
            break
        if move.index == BASE:
            base = P
        else:
            standings[move.index] = B if move.index >= first else P
    assert move == (Blocked(0) if first == 0 else LandUpTo(first - 1))


@given(st.integers(1, 64))
def test_where_nothing_can_be_tested_two_runs_show_it(cars: int) -> None:
    standings = [U] * cars
    assert next_move(standings) == RunTests(cars - 1)
    standings[-1] = B
    assert next_move(standings) == RunTests(BASE)
    assert next_move(standings, B) == Blocked(cars - 1)
