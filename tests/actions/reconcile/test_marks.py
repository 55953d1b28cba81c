"""Of the wish for a pass nothing is lost: not to a pass that was killed, nor to one that is not allowed as much."""

from __future__ import annotations

import json

import pytest
from conftest import Repo, eventually
from support.scripted import yard

from loki_hooks.system.locks import hold
from loki_hooks.system.site import discover
from loki_hooks.system.store.marks import PassMarks


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def test_what_a_killed_pass_had_taken_is_still_wanted(repo: Repo) -> None:
    repo.loki("install", "--native")
    marks = PassMarks(discover(repo.path), trusted=False)
    marks.ask()
    marks.take()
    assert PassMarks(discover(repo.path), trusted=False).wanted()  # the pass that took it never came to its end
    marks.settle()
    assert not marks.wanted()


def test_a_pass_without_trust_does_not_see_to_what_a_trusted_one_wants(repo: Repo) -> None:
    repo.loki("install", "--native")
    site = discover(repo.path)
    trusted, other = PassMarks(site, trusted=True), PassMarks(site, trusted=False)
    trusted.ask()
    assert not other.wanted()
    other.ask()
    other.take()
    other.settle()
    assert trusted.wanted()
    trusted.take()
    trusted.settle()
    assert not trusted.wanted()


def test_what_comes_while_facts_are_gathered_wants_another_pass(repo: Repo) -> None:
    repo.loki("install", "--native")
    marks = PassMarks(discover(repo.path), trusted=False)
    marks.ask()
    marks.take()
    marks.ask()
    marks.settle()
    assert marks.wanted()


def test_a_trusted_trigger_outlasts_an_untrusted_pass(repo: Repo) -> None:
    """A hook in a shell without the user's word must not swallow the wish of one that has it."""
    made = yard(repo)
    made.streams({"one": {"a.txt": "1"}})
    with hold(discover(repo.path).private / "reconcile.lock"):
        repo.loki("signal", "emit", "FEATURE_READY_one")  # its background pass waits
    repo.loki("run", "--once", env={"LOKI_TRUST": ""})
    eventually(lambda: made.landed() == ["one"], 30)
    made.quiet()
    assert json.loads(repo.loki("status", "--json").out)["streams"] == []
