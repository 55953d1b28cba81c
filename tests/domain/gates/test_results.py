"""Gate results: what a run says, what may pass because of it, and what two runs have in common."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.config import Environment, Gate
from loki_hooks.domain.gates.results import (
    RETRY_COULD_NOT_RUN,
    GateResult,
    Outcome,
    SeenResult,
    Standing,
    gate_hash,
    lets_through,
    standing,
    tail_of,
)

GATE = Gate("unit", "pytest -q")
RESULT = GateResult("unit", "t", "c", Outcome.PASSED, 0, 1.0, "2026-11-20T00:00:00.000000Z", gate_hash="h")


@pytest.mark.parametrize("outcome", [*Outcome, None])
def test_only_what_passed_goes_through_or_flaky_where_allowed(outcome: Outcome | None) -> None:
    assert lets_through(GATE, outcome) == (outcome is Outcome.PASSED)
    assert lets_through(Gate("unit", "x", flaky_passes=True), outcome) == (outcome in {Outcome.PASSED, Outcome.FLAKY})


results = st.builds(
    GateResult,
    st.text(),
    st.text(),
    st.text(),
    st.sampled_from(Outcome),
    st.none() | st.integers(-9, 255),
    st.floats(0, 1e6),
    st.text(),
    st.text(),
    st.text(),
    st.text(),
    st.text(),
    st.integers(1, 5),
)


@given(results)
def test_a_result_survives_its_file(result: GateResult) -> None:
    assert GateResult.from_json(result.to_json()) == result


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda i: st.lists(i, max_size=3) | st.dictionaries(st.text(), i, max_size=3),
    max_leaves=8,
)


@given(json, st.dictionaries(st.sampled_from(sorted(RESULT.to_json())), json))
def test_anything_else_is_no_result_or_a_whole_one(value: object, some: dict[str, object]) -> None:
    for tried in (value, some, {**RESULT.to_json(), **some}):
        found = GateResult.from_json(tried)
        assert found is None or GateResult.from_json(found.to_json()) == found


@given(st.lists(st.tuples(st.sampled_from([None, *Outcome]), st.floats(0, 5000)), max_size=5))
def test_one_gate_that_has_not_passed_is_enough_to_stop(entries: list[tuple[Outcome | None, float]]) -> None:
    seen = [
        SeenResult(GATE, None if outcome is None else GateResult("unit", "t", "c", outcome, 0, 0, ""), age)
        for outcome, age in entries
    ]
    found = standing(seen)
    assert (found is Standing.PASSED) == all(outcome is Outcome.PASSED for outcome, _ in entries)
    if any(outcome is Outcome.FAILED for outcome, _ in entries):
        assert found is Standing.FAILED


def test_what_could_not_run_is_tried_again_later() -> None:
    result = GateResult("unit", "t", "c", Outcome.COULD_NOT_RUN, None, 0, "")
    assert standing([SeenResult(GATE, result, 0)]) is Standing.BLOCKED
    assert standing([SeenResult(GATE, result, RETRY_COULD_NOT_RUN)]) is Standing.UNKNOWN


def test_the_hash_is_of_what_can_change_a_result() -> None:
    one = gate_hash(GATE, Environment(), "linux")
    assert one == gate_hash(
        Gate("other name", "pytest -q", timeout=1, branches=("x",), retries=3), Environment(copy=()), "linux"
    )
    assert one != gate_hash(Gate("unit", "pytest"), Environment(), "linux")
    assert one != gate_hash(Gate("unit", ("pytest", "-q")), Environment(), "linux")
    assert one != gate_hash(GATE, Environment(), "darwin")
    assert one != gate_hash(GATE, Environment(setup=False), "linux")
    assert one != gate_hash(GATE, Environment(set={"A": "1"}), "linux")


@given(st.text(), st.integers(1, 50), st.integers(1, 1000))
def test_a_tail_is_an_end(output: str, lines: int, characters: int) -> None:
    tail = tail_of(output, lines, characters)
    assert len(tail.split("\n")) <= lines or not tail
    assert len(tail) <= characters
