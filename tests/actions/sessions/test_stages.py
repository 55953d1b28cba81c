"""Stages: analyze, build, review, each a session of its own; what one leaves reaches the next; none is left out or run twice."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import pytest
from conftest import Repo, eventually
from hypothesis import given
from hypothesis import strategies as st
from support.scripted import Yard, yard

from loki_hooks.actions.sessions.prompt import render_prompt
from loki_hooks.domain.sessions.ending import Trouble
from loki_hooks.domain.streams.stages import STAGES, is_order, stage_after, stage_now, stage_to_resume
from loki_hooks.domain.streams.status import Status

STAGED = '[session.kinds.feature]\nstages = ["analyze", "build", "review"]\n'
SCRIPT = """\
stage=$(grep -o 'stage \\*\\*[a-z]*' "$LOKI_MAIN/.loki/state/prompts/$LOKI_STREAM.md" | grep -o '[a-z]*$' | tail -1)
[ -n "$stage" ] || stage=build
cp "$LOKI_MAIN/.loki/state/prompts/$LOKI_STREAM.md" '%(o)s/prompt-'$stage
echo "$stage" >> '%(o)s/stages'; echo "this is $stage"
"""
"""The prompt of a build names no stage; those of the others do."""


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def agent(made: Yard, analyze: str, build: str, review: str) -> None:
    cases = "".join(f"{stage}) {script} ;;\n" for stage, script in zip(STAGES, (analyze, build, review), strict=True))
    made.agent("x", SCRIPT % {"o": made.outside} + f'case "$stage" in\n{cases}esac\n')


def ran(made: Yard) -> list[str]:
    path = made.outside / "stages"
    return path.read_text().split() if path.exists() else []


def seen(repo: Repo) -> dict[str, object]:
    return dict(json.loads(repo.loki("status", "--json").out)["streams"][0])


PLAN = "echo 'First the tests, then app.py' > .loki/PLAN.md"
WORK = "echo x > x.txt; git add x.txt; git commit -q -m Work"
MEND = "echo y > y.txt; git add y.txt; git commit -q -m Mend"


def test_each_stage_is_a_session_and_only_the_last_makes_it_ready(repo: Repo) -> None:
    made = yard(repo, more=STAGED)
    go = made.outside / "go"
    agent(
        made,
        f"{PLAN}; touch .loki/signals/FEATURE_READY_x; {WORK}",
        f"while [ ! -e '{go}' ]; do sleep 0.05; done; {MEND}",
        ":",
    )
    made.spawn("x", "--task", "Build it")
    eventually(lambda: ran(made) == ["analyze", "build"])
    made.wait_for("x", "running")
    assert seen(repo)["stage"] == "build"
    assert "(build, 2 of 3)" in repo.loki("status").out
    assert made.landed() == []  # it said that it was ready; the last stage decides
    go.touch()
    made.wait_for("x", "archived", timeout=60)
    assert ran(made) == ["analyze", "build", "review"]
    assert made.landed() == ["x"]
    build, review = ((made.outside / f"prompt-{stage}").read_text() for stage in ("build", "review"))
    assert "    First the tests, then app.py" in build
    assert "The stage review then begins" in build
    assert "Mend" in review
    assert f"git diff {made.events('spawned')[0]['commit']}...HEAD" in review
    (archive,) = (made.loki_dir / "archive").glob("feature-x-*")
    logs = [(archive / f"session-feature-x.log{end}").read_text() for end in (".2", ".1", "")]
    assert [text.split()[-1] for text in logs] == ["analyze", "build", "review"]
    assert (archive / "PLAN.md").read_text() == "First the tests, then app.py\n"
    assert [e["evidence"]["next"] for e in made.events("stage-done")] == ["build", "review"]
    assert len(made.events("session-ready")) == 1
    made.quiet()


def test_a_killed_stage_fails_and_is_the_one_that_is_resumed(repo: Repo) -> None:
    """And a review that says no sends it to a person; resumed, it is built on first, and reviewed again."""
    made = yard(repo, more=STAGED)
    agent(made, PLAN, "echo busy; sleep 300", ":")
    made.spawn("x")
    eventually(lambda: ran(made) == ["analyze", "build"])
    made.wait_for("x", "running")
    os.kill(int(made.record("x")["session"]["pid"]), signal.SIGKILL)
    made.run()
    assert (made.status("x"), seen(repo)["stage"]) == ("failed", "build")
    agent(made, ":", WORK, "echo 'no test for the empty case' > .loki/signals/REVIEW_FAILED_x; exit 1")
    assert repo.loki("resume", "x").code == 0
    made.wait_for("x", "escalated", timeout=60)
    made.quiet()
    assert ran(made) == ["analyze", "build", "build", "review"]
    assert "was cut off" in (made.outside / "prompt-build").read_text()
    assert made.record("x")["reason"] == "the review says no: no test for the empty case"
    assert made.landed() == []
    agent(made, ":", MEND, ":")
    assert repo.loki("resume", "x").code == 0
    made.wait_for("x", "archived", timeout=60)
    assert ran(made)[4:] == ["build", "review"]
    prompt = (made.outside / "prompt-build").read_text()
    assert "no test for the empty case" in prompt
    assert "A review looked at this work and said no" in prompt
    assert {"x.txt", "y.txt"} <= made.on_main()


def test_an_analysis_needs_a_plan_and_no_commit_and_a_task_may_say_its_stages(repo: Repo) -> None:
    made = yard(repo, gate=False)
    agent(made, ":", WORK, ":")
    made.spawn("x", "--stages", "analyze,build")
    made.wait_for("x", "failed")
    made.quiet()
    assert "left no plan" in made.record("x")["reason"]
    agent(made, PLAN, WORK, ":")
    assert repo.loki("resume", "x").code == 0
    made.wait_for("x", "ready")
    assert ran(made) == ["analyze", "analyze", "build"]
    assert "It ended without a plan" in (made.outside / "prompt-analyze").read_text()
    for words in ("build,analyze", "build,build", "deploy", ","):
        refused = repo.loki("spawn", "y", "--stages", words)
        assert (refused.code, "some of analyze, build, review" in refused.err) == (2, True)
    made.repo.commit("Wrong", {"loki-hooks.toml": '[session]\nstages = ["review", "build"]\n'})
    assert "in this order" in repo.loki("spawn", "y").err


def test_each_trouble_has_a_hint_in_the_next_prompt(repo: Repo) -> None:
    made = yard(repo, timeout=60)
    made.open("x")
    context = made.context()
    record = replace(context.require_stream("x"), before="failed: as it was", trouble="")
    without = render_prompt(context, record)
    for trouble in Trouble:
        hinted = render_prompt(context, replace(record, trouble=trouble.value))
        assert len(hinted) > len(without) + 40, trouble
        assert "\n\n\n\n" not in hinted
    assert render_prompt(context, replace(record, trouble="../frame")) == without


# The rules --------------------------------------------------------------------------------------------------------

orders = st.lists(st.sampled_from(STAGES), min_size=1, unique=True).map(lambda s: tuple(sorted(s, key=STAGES.index)))
stages = st.sampled_from(("", *STAGES, "no stage"))


@given(orders)
def test_one_after_the_other_and_none_twice(order: tuple[str, ...]) -> None:
    assert is_order(order)
    found = [stage_now(order, "")]
    while follows := stage_after(order, found[-1]):
        found.append(follows)
    assert tuple(found) == order


@given(orders, stages, st.sampled_from(Status), st.booleans())
def test_what_is_resumed_is_the_stage_that_failed_or_the_build(
    order: tuple[str, ...], stage: str, status: Status, refused: bool
) -> None:
    chosen = stage_to_resume(order, stage, status, refused=refused)
    if status in {Status.FAILED, Status.STOPPED, Status.ESCALATED} and not refused:
        assert chosen == stage_now(order, stage)
    assert chosen in {stage_now(order, stage), "build"}
