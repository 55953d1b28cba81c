"""Events as sentences: known ones say what they are about, whatever stands in the file breaks nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.events import sentence

NAMES = {"feature-auth": "auth", "feature-api": "api"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KINDS = (
    "session-started",
    "session-ready",
    "testing",
    "gate-passed",
    "gate-failed",
    "gate-could-not-run",
    "passed",
    "rejected",
    "landed",
    "followed",
    "removed",
    "session-failed",
    "conflicted",
)


def told(event: str, stream: str = "", detail: str = "", **evidence: object) -> str:
    happened = {"event": event, "stream": stream, "detail": detail, "commit": "0123456789abcdef", "evidence": evidence}
    return sentence(happened, NAMES, "main")


@given(st.sampled_from(KINDS), JSON, JSON, JSON, JSON)
def test_whatever_stands_in_the_file_is_at_most_one_line(
    kind: str, stream: object, commit: object, detail: object, evidence: object
) -> None:
    happened = {"event": kind, "stream": stream, "commit": commit, "detail": detail, "evidence": evidence}
    assert len(sentence(happened, {}, "main").splitlines()) <= 1


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in {"followed", "testing"}])
def test_a_stream_is_called_as_people_typed_it(kind: str) -> None:
    assert told(kind, "feature-auth", "why").startswith("auth: ")


def test_what_only_matters_to_the_machinery_is_not_told() -> None:
    assert told("preparing", "feature-auth") == told("followed") == told("of a later version") == ""


def test_a_test_run_says_on_what() -> None:
    alone = told("testing", "feature-auth", streams=["feature-auth"])
    assert alone == "auth: the tests run on main with this merged in"
    assert (
        told("testing", "train", streams=["feature-auth", "feature-api"])
        == "auth and api: the tests run on main with these merged in together"
    )
    assert told("testing", "main", streams=[]) == "main: the tests run on it as it is, to compare"


def test_one_commit_is_not_commits() -> None:
    assert "with 1 commit;" in told("session-ready", "feature-auth", commits=1)
    assert "with 2 commits;" in told("session-ready", "feature-auth", commits=2)
