"""The table of moves: exactly the documented ones, and what follows from them."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.streams.status import (
    ENDED,
    IN_SESSION,
    IN_TRAIN,
    LIVING,
    MOVES,
    NEEDS_PERSON,
    STANDING,
    WORDS,
    Status,
    legal,
    move,
    parse_status,
)
from loki_hooks.errors import IllegalMoveError

S = Status
MAIN_LINE = (S.PLANNED, S.QUEUED, S.PREPARING, S.RUNNING, S.READY, S.TESTING, S.PASSED, S.MERGING, S.MERGED, S.ARCHIVED)
SIDE_TRACKS = {
    *product((S.PREPARING, S.RUNNING), (S.FAILED, S.ESCALATED, S.STOPPED)),
    *product((S.OPEN,), (S.READY, S.QUEUED)),
    *product((S.READY, S.TESTING, S.MERGING), (S.CONFLICTED,)),
    (S.CONFLICTED, S.READY),
    *product((S.TESTING, S.PASSED, S.MERGING), (S.READY,)),
    (S.TESTING, S.REJECTED),
    *product((S.FAILED, S.STOPPED, S.REJECTED, S.ESCALATED, S.KEPT), (S.QUEUED,)),
    (S.PASSED, S.PROPOSED),
    *product(LIVING, (S.MERGED, S.KEPT, S.ABANDONED)),
    *product((S.MERGED, S.KEPT, S.ABANDONED), (S.ARCHIVED,)),
}
"""As the README documents them."""
OURS = {
    (S.PLANNED, S.OPEN),
    (S.ESCALATED, S.PLANNED),
    *product((S.READY, S.TESTING, S.PASSED, S.MERGING, S.CONFLICTED), (S.OPEN,)),
    (S.QUEUED, S.STOPPED),
    (S.READY, S.STOPPED),
    *product((S.PLANNED, S.QUEUED), (S.ESCALATED,)),
    (S.RUNNING, S.QUEUED),
    (S.CONFLICTED, S.QUEUED),
    *product((S.FAILED, S.STOPPED, S.REJECTED, S.ESCALATED), (S.READY,)),
    *product((S.PROPOSED, S.KEPT), (S.READY,)),
    *product(
        (S.OPEN, S.READY, S.TESTING, S.FAILED, S.STOPPED, S.REJECTED, S.ESCALATED, S.CONFLICTED, S.KEPT), (S.PROPOSED,)
    ),
    *product((S.WATCHING,), (S.IDLE, S.RUNNING, S.QUEUED)),
    *product((S.IDLE,), (S.WATCHING, S.RUNNING, S.QUEUED)),
    *product((S.ARCHIVED,), (S.WATCHING, S.IDLE)),
    (S.RUNNING, S.IDLE),
}
"""Beside them: a person mended the work, asked to merge or to propose it, stopped what waits, took the wish to merge back, or
planned without a session; what a stream was to begin after was given up; a plan's stream of which nothing can be
made; a stage is done, and another one follows; standing
streams; a branch that was made anew; and a writing stream that rests between its rounds."""


def test_the_table_has_exactly_the_documented_moves() -> None:
    table = {(old, new) for old, targets in MOVES.items() for new in targets}
    assert table == {*pairwise(MAIN_LINE), *SIDE_TRACKS, *OURS}


@pytest.mark.parametrize("old", Status)
def test_every_move_is_in_the_table_or_raises(old: Status) -> None:
    for new in Status:
        if new in MOVES[old] or new == old:
            assert legal(old, new)
            assert move("feature-x", old, new) is new
        else:
            assert not legal(old, new)
            with pytest.raises(IllegalMoveError, match="feature-x"):
                move("feature-x", old, new)


def _reachable(start: Status) -> set[Status]:
    seen, todo = {start}, [start]
    while todo:
        for new in MOVES[todo.pop()] - seen:
            seen.add(new)
            todo.append(new)
    return seen


@pytest.mark.parametrize("status", sorted(LIVING))
def test_every_living_stream_can_still_end(status: Status) -> None:
    assert S.ARCHIVED in _reachable(status)


@pytest.mark.parametrize("status", sorted(LIVING - {S.PROPOSED}))
def test_work_that_is_not_with_a_host_can_always_come_to_a_merge_of_ours(status: Status) -> None:
    assert S.MERGING in _reachable(status)


def test_nothing_merges_but_through_a_gate() -> None:
    """Into `merging` leads only `passed`, into `passed` only `testing`."""
    assert {old for old in Status if S.MERGING in MOVES[old]} == {S.PASSED}
    assert {old for old in Status if S.PASSED in MOVES[old]} == {S.TESTING}


def test_archived_is_the_end_but_for_streams_that_rest_and_only_a_kept_one_comes_back() -> None:
    assert MOVES[S.ARCHIVED] == {S.WATCHING, S.IDLE}
    assert {s for s in ENDED if MOVES[s] - ENDED - STANDING} == {S.KEPT}


def test_the_classes_fit_together_and_every_status_has_its_own_word() -> None:
    assert set(Status) == LIVING | STANDING | ENDED
    assert not (LIVING & STANDING or LIVING & ENDED or STANDING & ENDED)
    assert IN_SESSION | IN_TRAIN | NEEDS_PERSON <= LIVING
    assert not (IN_SESSION & IN_TRAIN or IN_TRAIN & NEEDS_PERSON)
    assert set(WORDS) == set(MOVES) == set(Status)
    assert len(set(WORDS.values()) - {"tests failed"}) == len(Status) - 1


@given(st.one_of(st.none(), st.integers(), st.text(), st.lists(st.text())))
def test_a_foreign_word_is_no_status(value: object) -> None:
    found = parse_status(value)
    assert found is None or found.value == value


@pytest.mark.parametrize("status", Status)
def test_a_status_is_read_back_from_its_word(status: Status) -> None:
    assert parse_status(status.value) is status
