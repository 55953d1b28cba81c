"""The steps as others know them: their words, the keys of their failures, how people read them."""

from __future__ import annotations

from typing import get_args

import pytest

from loki_hooks.domain.reconcile.base import MainStep, StreamStep
from loki_hooks.domain.reconcile.facts import Found
from loki_hooks.domain.reconcile.follow import Follow
from loki_hooks.domain.reconcile.gates import Cancel, Test
from loki_hooks.domain.reconcile.landing import Forward, Land, PushTip
from loki_hooks.domain.reconcile.sessions import Start
from loki_hooks.domain.reconcile.steps import Step
from loki_hooks.domain.reconcile.streams import Adopt, Note
from loki_hooks.domain.reconcile.train import Conflict
from loki_hooks.domain.reconcile.writing import Begin, Rest
from loki_hooks.domain.streams.status import Status

WORDS = """adopt begin cancel clean conflict fail follow forward given-up land made-anew moved note pass prepare propose push ready
reject renamed rest seen seen-merged set-up settle start test unseen vanished"""


def test_the_words_of_the_steps_stay_what_scripts_and_state_files_know() -> None:
    assert sorted(step.word for step in get_args(Step)) == WORDS.split()


def test_every_step_that_is_declared_is_one_that_a_pass_can_take() -> None:
    assert {*StreamStep.__subclasses__(), *MainStep.__subclasses__()} == set(get_args(Step))


@pytest.mark.parametrize(
    ("step", "key", "text"),
    [
        (Start("feature-a"), "start", "feature-a: start"),
        (Note("feature-a", "why"), "note", "feature-a: note"),
        (Conflict("feature-a", "c", ("f", "g")), "conflict", "feature-a: conflict"),
        (Adopt(Found("/w/x", "feature/x", "feature", "x", "c")), "adopt /w/x", "x: adopt"),
        (Test("c", "t"), "test t", "the integration branch: test"),
        (Cancel("t"), "cancel t", "the integration branch: cancel"),
        (Land("c", "t", "old", ()), "land t", "the integration branch: land"),
        (Forward("c", "old", "u"), "forward c", "the integration branch: forward"),
        (PushTip("c", ""), "push c", "the integration branch: push"),
        (Follow("c", "old"), "follow c", "the integration branch: follow"),
        (Begin("docs", 3), "begin docs", "docs: begin"),
        (Rest("blog", Status.IDLE), "rest blog", "blog: rest"),
    ],
)
def test_failures_are_kept_and_steps_are_told_by_these_names(step: Step, key: str, text: str) -> None:
    assert (step.key, str(step)) == (key, text)
    assert step.stream == ("feature-a" if isinstance(step, StreamStep) else "")
