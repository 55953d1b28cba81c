"""The search of the merge train: it ends, blames nobody who is innocent, lands nobody who is guilty, and is cheap."""

from __future__ import annotations

from math import ceil, log2

from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.gates import Standing
from loki_hooks.domain.train import BASE, Blame, Blocked, Land, Test, next_move

P, F, B, U = Standing.PASSED, Standing.FAILED, Standing.BLOCKED, Standing.UNKNOWN


def test_the_table_of_moves() -> None:
    assert next_move([U, U, P]) == Land(2)
    assert next_move([U, U, U]) == Test(2)
    assert next_move([U, U, U, F]) == Test(1)
    assert next_move([U, F, U, F]) == Test(0)
    assert next_move([F, F, U, F]) == Blame(0, proved=False)
    assert next_move([P, F, U, F]) == Blame(1, proved=True)
    assert next_move([P, U, U, F]) == Test(1)
    assert next_move([B]) == Test(BASE)
    assert next_move([B], B) == Blocked(0)
    assert next_move([B], F) == Blocked(0)
    assert next_move([B], P) == Blocked(0)
    assert next_move([U, U, B], P) == Test(0)
    assert next_move([P, B, B], P) == Land(0)
    assert next_move([U, B, U, F], P) == Test(0)


@given(st.lists(st.sampled_from(Standing), min_size=1, max_size=12), st.sampled_from(Standing))
def test_every_state_has_a_move_that_makes_sense(standings: list[Standing], base: Standing) -> None:
    match next_move(standings, base):
        case Land(index):
            assert standings[index] is P
        case Test(index) if index == BASE:
            assert base is U
        case Test(index):
            assert standings[index] is not P or index == len(standings) - 1
        case Blame(index, proved):
            assert standings[index] is F
            assert proved == (index > 0)
            assert not proved or standings[index - 1] is P
        case Blocked(index):
            assert standings[index] is B
            assert base is not U or index == 0


@given(st.integers(1, 64), st.data())
def test_one_search_finds_the_first_culprit_in_few_runs(cars: int, data: st.DataObject) -> None:
    """A prefix fails as soon as the first culprit is in it."""
    first = data.draw(st.integers(0, cars - 1))
    standings = [U] * cars
    runs = 0
    while isinstance(move := next_move(standings), Test):
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
        if not isinstance(move, Test):
            break
        if move.index == BASE:
            base = P
        else:
            standings[move.index] = B if move.index >= first else P
    assert move == (Blocked(0) if first == 0 else Land(first - 1))


@given(st.integers(1, 64))
def test_where_nothing_can_be_tested_two_runs_show_it(cars: int) -> None:
    standings = [U] * cars
    assert next_move(standings) == Test(cars - 1)
    standings[-1] = B
    assert next_move(standings) == Test(BASE)
    assert next_move(standings, B) == Blocked(cars - 1)
