"""What a row says: one line why, and the command that goes on from there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.advice import advice, one_line
from loki_hooks.domain.reconcile.landing import NO_GATE
from loki_hooks.domain.reconcile.train import BY_HAND, PRE_EXISTING
from loki_hooks.domain.streams.record import WAITS_TO_LAND, YOUR_WORD, StreamRecord
from loki_hooks.domain.streams.status import Status
from loki_hooks.domain.verdict import Word, judge_streams


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("", ""),
        ("its tests failed", "its tests failed"),
        (
            "`npm ci` ended with exit status 1\nadded 1\nerror: no such file\nmore",
            "`npm ci` ended with exit status 1: error: no such file …",
        ),
        ("one\n\n two  three ", "one …"),
    ],
)
def test_a_reason_of_several_lines_becomes_one(reason: str, line: str) -> None:
    assert one_line(reason) == line


@given(st.text())
def test_any_reason_becomes_one_line(reason: str) -> None:
    assert len(one_line(reason).splitlines()) <= 1


def record(status: Status, reason: str = "", tip: str = "t") -> StreamRecord:
    return StreamRecord("feature", "a", status, "/w/a", "feature/a", base="b", tip=tip, reason=reason)


def test_what_ended_undone_is_told_how_it_goes_on() -> None:
    assert "`loki-hooks resume a`" in advice(record(Status.REJECTED), "t")
    for status in (Status.REJECTED, Status.FAILED, Status.STOPPED, Status.ESCALATED):
        assert "`loki-hooks finish a --merge`" in advice(record(status), "new")
    assert "finish" not in advice(record(Status.STOPPED), "b"), "it has nothing to merge"
    assert advice(record(Status.OPEN), "new") == ""


@pytest.mark.parametrize(
    "reason",
    [PRE_EXISTING, NO_GATE, f"{BY_HAND}: …", f"{WAITS_TO_LAND}staged changes", f"{YOUR_WORD} (`loki-hooks trust`): x"],
)
def test_what_only_a_person_can_end_is_for_a_person(reason: str) -> None:
    assert judge_streams([record(Status.READY, reason)]).word is Word.ESCALATE
    assert judge_streams([record(Status.READY, reason), record(Status.RUNNING)]).word is Word.CONTINUE
    assert judge_streams([record(Status.READY, "waits for a free place")]).word is Word.CONTINUE
