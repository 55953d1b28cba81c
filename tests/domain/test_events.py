"""Events as sentences: known ones say what they are about, whatever stands in the file breaks nothing."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.assets import package_dir
from loki_hooks.domain.events import EVENTS, sentence
from loki_hooks.domain.gates.results import Outcome

NAMES = {"feature-auth": "auth", "feature-api": "api"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KINDS = tuple(name for name, say in EVENTS.items() if say)


def told(event: str, stream: str = "", detail: str = "", **evidence: object) -> str:
    happened = {"event": event, "stream": stream, "detail": detail, "commit": "0123456789abcdef", "evidence": evidence}
    return sentence(happened, NAMES, "main")


@given(st.sampled_from(KINDS), JSON, JSON, JSON, JSON)
def test_whatever_stands_in_the_file_is_at_most_one_line(
    kind: str, stream: object, commit: object, detail: object, evidence: object
) -> None:
    happened = {"event": kind, "stream": stream, "commit": commit, "detail": detail, "evidence": evidence}
    assert len(sentence(happened, {}, "main").splitlines()) <= 1


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in {"followed", "testing", "plan-entered"}])
def test_a_stream_is_called_as_people_typed_it(kind: str) -> None:
    assert told(kind, "feature-auth", "why").startswith("auth: ")


def test_what_only_matters_to_the_machinery_is_not_told() -> None:
    assert told("preparing", "feature-auth") == told("followed") == told("of a later version") == ""


def test_what_follows_a_landing_is_told_from_the_counts() -> None:
    assert told("followed", docs={"made": 2, "closed": 1}, blog={"made": 1, "closed": 0}) == (
        "main: has moved, so 2 docs items, 1 blog item for the queue, 1 docs item closed; signal DOCS_NEEDED and BLOG_POST_QUEUED"
    )
    assert told("followed", docs={"made": 0, "closed": 1}) == "main: has moved, so 1 docs item closed"


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


def test_a_way_that_proposes_does_not_say_that_it_lands() -> None:
    assert "may be proposed" in told("passed", "feature-auth", how="pr")
    assert "may land" in told("passed", "feature-auth", how="squash")
    assert "may land" in told("passed", "feature-auth", how=["pr"])


def test_no_event_is_recorded_under_a_name_that_is_not_listed_nor_listed_for_nothing() -> None:
    recorded = {name for path in package_dir().rglob("*.py") for name in recorded_in(path.read_text("utf-8"))}
    assert recorded == set(EVENTS)


PARTS = {"gate-": tuple(Outcome), "session-": ("ready", "failed", "escalated", "stopped", "idle")}
"""What may follow where a name is put together."""


def recorded_in(source: str) -> set[str]:
    """Return the names that the module records events under; one that cannot be told is an error."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called == "events.record" or called.rpartition(".")[2] == "not_pushed":
                found |= names_in(node.args[1])
    return found


def names_in(node: ast.expr) -> set[str]:
    match node:
        case ast.Constant(value=str(name)):
            return {name}
        case ast.IfExp(body=one, orelse=other):
            return names_in(one) | names_in(other)
        case ast.JoinedStr(values=[ast.Constant(value=str(begin)), ast.FormattedValue()]):
            return {f"{begin}{end}" for end in PARTS[begin]}
        case ast.Name(id="event"):  # handed on by `not_pushed`, whose callers are looked at
            return set()
    raise AssertionError(f"which event is it? {ast.unparse(node)}")
