"""How a session ended: ready only when everything about it was good."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.sessions.agents import PRESETS
from loki_hooks.domain.sessions.ending import RULES, Ending, Judged, by_work, ended_well, status_after
from loki_hooks.domain.streams.status import Status, legal

endings = st.builds(
    Ending,
    st.integers(-20, 255),
    stopped=st.booleans(),
    timed_out=st.booleans(),
    commits=st.integers(0, 3),
    left=st.lists(st.text(min_size=1), max_size=5).map(tuple),
    left_why=st.text(max_size=5),
    wrong_branch=st.sampled_from(["", "other"]),
)


@given(endings)
def test_ready_means_that_nothing_is_wrong(ending: Ending) -> None:
    status, reason = status_after(ending)
    good = (
        ending.exit_code == 0
        and ending.commits > 0
        and not (ending.left or ending.wrong_branch or ending.stopped or ending.timed_out)
    )
    assert (status is Status.READY) == good
    assert bool(reason) == (not good)
    assert legal(Status.RUNNING, status)


def test_the_reason_names_what_a_person_must_look_at() -> None:
    assert status_after(Ending(3)) == (Status.FAILED, "the agent ended with exit status 3")
    assert status_after(Ending(-9)) == (Status.FAILED, "the agent was killed by signal 9")
    assert status_after(Ending(0)) == (Status.FAILED, "the agent made no commit")
    assert status_after(Ending(0, commits=1)) == (Status.READY, "")
    assert status_after(Ending(1, stopped=True))[0] is Status.STOPPED
    status, reason = status_after(Ending(0, commits=1, left=("a", "b", "c", "d"), left_why="secrets"))
    assert status is Status.ESCALATED
    assert reason == "uncommitted: a, b, c and 1 more (secrets)"


def test_every_agent_names_a_rule_that_there_is() -> None:
    assert {agent.end for agent in PRESETS.values()} <= set(RULES)


def test_an_agent_may_have_a_rule_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_last_word(ending: Ending) -> Judged:
        return by_work(ending) if ending.tail.endswith("DONE") else (Status.FAILED, "it did not say DONE", None)

    monkeypatch.setitem(cast(dict[str, object], RULES), "last-word", by_last_word)
    said = Ending(1, rule="last-word", tail="all is DONE", commits=1)
    assert status_after(said) == (Status.READY, "")
    assert ended_well(said)
    assert status_after(replace(said, left=("a",)))[0] is Status.ESCALATED
    assert status_after(replace(said, tail="")) == (Status.FAILED, "it did not say DONE")
    assert not ended_well(replace(said, tail="", exit_code=0))
    assert status_after(replace(said, timed_out=True))[0] is Status.FAILED, "what the runner knows counts for all"


@given(endings)
def test_the_program_ended_well_whatever_its_work(ending: Ending) -> None:
    assert ended_well(ending) == (ending.exit_code == 0 and not ending.stopped and not ending.timed_out)
