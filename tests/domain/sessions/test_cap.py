"""The cap is one pure function: its boundaries as a table, its promises as properties."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.sessions.cap import (
    CEILING,
    CPU,
    CRITICAL,
    DYNAMIC,
    FIXED,
    MEMORY,
    CapDecision,
    Thresholds,
    decide_cap,
    is_dynamic,
    thresholds_of,
)

ON = {DYNAMIC: "1"}


def load(cpu: object = 0, memory: object = 0, **more: object) -> dict[str, Any]:
    return {"cpu": {"usage_percent": cpu}, "memory": {"usage_percent": memory}, **more}


def cap(snapshot: object, ceiling: int = 8, knobs: Mapping[str, str] = ON) -> int:
    return decide_cap({**ON, CEILING: str(ceiling), **knobs}, snapshot, 3).cap


@pytest.mark.parametrize(
    ("usage", "expected"),
    [(0, 8), (-3, 8), (84, 8), (84.99, 8), (85, 4), (85.0, 4), (94.99, 4), (95, 1), (95.5, 1), (100, 1), (1e300, 1)],
)
def test_usage_compares_as_its_whole_part(usage: float, expected: int) -> None:
    assert cap(load(cpu=usage)) == expected
    assert cap(load(memory=usage)) == expected
    assert cap(load(usage, usage)) == expected


@pytest.mark.parametrize("ceiling", range(1, 10))
def test_half_is_rounded_down_and_never_nothing(ceiling: int) -> None:
    assert cap(load(), ceiling) == ceiling
    assert cap(load(cpu=85), ceiling) == {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 3, 7: 3, 8: 4, 9: 4}[ceiling]
    assert cap(load(memory=95), ceiling) == 1


@pytest.mark.parametrize(
    ("status", "expected"),
    [("ok", 8), (None, 8), ("warning", 4), ("OK", 4), ("ok ", 4), ("", 4), (7, 4), (True, 4), ([], 4), ({}, 4)],
)
def test_a_status_that_is_not_ok_halves(status: object, expected: int) -> None:
    assert cap(load(overall_status=status)) == expected
    assert cap({"overall_status": status}) == expected
    assert cap(load(cpu=99, overall_status=status)) == 1, "critical beats half"


def test_an_absent_status_does_not_halve() -> None:
    assert cap(load(10, 10)) == 8


@pytest.mark.parametrize(
    "snapshot",
    [
        None,
        {},
        [],
        "",
        "x",
        5,
        True,
        [1],
        {"cpu": None},
        {"cpu": 99},
        {"cpu": [99]},
        {"cpu": {}},
        {"cpu": {"usage_percent": {"usage_percent": 99}}},
        load("99", "99"),
        load(True, True),
        load(math.nan, math.nan),
        load(math.inf, -math.inf),
        load(10**400, None),
        load([99], (99,)),
        load("99%", b"99"),
    ],
)
def test_nothing_known_is_the_ceiling(snapshot: object) -> None:
    decision = decide_cap({**ON, CEILING: "8"}, snapshot, 3)
    assert (decision.cap, decision.cpu, decision.memory) == (8, None, None)
    assert "nothing is known" in decision.reason


def test_one_unknown_usage_does_not_hide_the_other() -> None:
    decision = decide_cap({**ON, CEILING: "8"}, load(math.nan, 96), 3)
    assert (decision.cap, decision.cpu, decision.memory) == (1, None, 96)


@pytest.mark.parametrize("value", ["", "0", "2", "true", "yes", " 1", "1 ", "01", "1\n", "+1", "\u0661"])
def test_only_exactly_1_is_dynamic(value: str) -> None:
    env = {DYNAMIC: value, FIXED: "6", CEILING: "9", CPU: "nonsense"}
    assert not is_dynamic(env)
    assert decide_cap(env, load(99, 99), 3) == CapDecision(
        6, False, 6, "fixed at 6 (LOKI_DYNAMIC_CONCURRENCY is not 1)", None, None, ()
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5", 5), (" 5 ", 5), ("\t5\n", 5), ("1", 1), ("007", 7), ("0" * 30 + "9", 9), ("9" * 18, int("9" * 18))],
)
def test_a_number_may_stand_in_blanks(text: str, expected: int) -> None:
    for env, ceiling in (({FIXED: text}, expected), ({**ON, FIXED: text}, expected), ({**ON, CEILING: text}, expected)):
        decision = decide_cap(env, None, 3)
        assert (decision.cap, decision.ceiling, decision.warnings) == (expected, ceiling, ())


@pytest.mark.parametrize("text", ["", " ", "\t \n"])
def test_an_empty_knob_is_an_unset_one(text: str) -> None:
    env = dict.fromkeys((FIXED, CEILING, CPU, MEMORY, CRITICAL), text)
    assert decide_cap({**env, **ON}, load(85, 0), 4) == decide_cap(ON, load(85, 0), 4)
    assert decide_cap(env, None, 4) == decide_cap({}, None, 4)


NONSENSE = [
    "-1",
    "+5",
    "5.0",
    "1e2",
    "0x5",
    "1_000",
    "five",
    "5 5",
    "\u0665",
    "\u00b2",
    "5\u00a0",
    "\u2003",
    "9" * 19,
    "9" * 5000,
    "$(reboot)",
    "nan",
    "inf",
    "\udcff",
    "5;",
]


@pytest.mark.parametrize("text", [*NONSENSE, "0", "000"])
def test_nonsense_for_a_session_knob_is_named_and_its_default_used(text: str) -> None:
    fixed = decide_cap({FIXED: text}, None, 3)
    assert (fixed.cap, len(fixed.warnings)) == (3, 1)
    assert FIXED in fixed.warnings[0] and "3 is used" in fixed.warnings[0]
    assert fixed.warnings[0].isprintable() and len(fixed.warnings[0]) < 200
    ceiling = decide_cap({**ON, FIXED: "6", CEILING: text}, None, 3)
    assert (ceiling.cap, ceiling.ceiling, len(ceiling.warnings)) == (6, 6, 1)
    assert CEILING in ceiling.warnings[0] and "6 is used" in ceiling.warnings[0]


@pytest.mark.parametrize("text", [*NONSENSE, "101", "85%"])
@pytest.mark.parametrize(("name", "expected"), [(CPU, 4), (MEMORY, 4), (CRITICAL, 1)])
def test_nonsense_for_a_threshold_is_named_and_its_default_used(name: str, expected: int, text: str) -> None:
    usage = {CPU: load(85, 0), MEMORY: load(0, 85), CRITICAL: load(95, 0)}[name]
    decision = decide_cap({**ON, CEILING: "8", name: text}, usage, 3)
    assert decision.cap == expected
    assert [name in warning for warning in decision.warnings] == [True]


def test_thresholds_are_taken_from_0_to_100() -> None:
    assert thresholds_of({}) == (Thresholds(85, 85, 95), ())
    assert thresholds_of({CPU: "0", MEMORY: " 50 ", CRITICAL: "100"}) == (Thresholds(0, 50, 100), ())
    assert cap(load(0, 0), knobs={CPU: "0"}) == 4
    assert cap(load(50, 0), knobs={CRITICAL: "50"}) == 1
    assert cap(load(99.9, 99.9), knobs={CPU: "100", MEMORY: "100", CRITICAL: "100"}) == 8
    assert cap(load(0, 60), knobs={CPU: "60"}) == 8, "each threshold is about its own usage"


def test_the_ceiling_is_where_a_dynamic_cap_starts() -> None:
    assert decide_cap({**ON, FIXED: "2", CEILING: "9"}, None, 3).cap == 9
    assert decide_cap({**ON, FIXED: "9", CEILING: "2"}, None, 3).cap == 2
    assert decide_cap({**ON, FIXED: "7"}, None, 3).ceiling == 7
    assert decide_cap(ON, None, 5).ceiling == 5
    assert decide_cap({}, None, 0).cap == 1


def test_json_has_the_keys_that_others_build_on() -> None:
    decision = decide_cap({**ON, CEILING: "8", FIXED: "x"}, load(96.5, "?"), 3)
    assert json.loads(json.dumps(decision.to_json(), allow_nan=False)) == {
        "cap": 1,
        "dynamic": True,
        "ceiling": 8,
        "reason": "critical: CPU 96.5 % is at or above 95 %",
        "cpu": 96.5,
        "memory": None,
        "warnings": [f"{FIXED}='x' is not a whole number of 1 or more: 3 is used"],
    }


NUMBERS = st.floats() | st.integers() | st.integers(0, 120) | st.floats(0, 120) | st.booleans() | st.text(max_size=4)
JUNK = st.recursive(
    st.none() | NUMBERS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["cpu", "memory", "usage_percent", "overall_status", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)
SNAPSHOTS = st.one_of(
    JUNK,
    st.builds(load, NUMBERS, NUMBERS),
    st.builds(lambda c, m, s: load(c, m, overall_status=s), NUMBERS, NUMBERS, st.sampled_from(["ok", "warning", None])),
)
KNOBS = st.one_of(st.text(max_size=6), st.integers(-5, 120).map(str), st.sampled_from(["", " ", "1", " 7 ", "9" * 30]))
ENVIRONMENTS = st.dictionaries(st.sampled_from([DYNAMIC, FIXED, CEILING, CPU, MEMORY, CRITICAL]), KNOBS)


@given(ENVIRONMENTS, SNAPSHOTS, st.integers(1, 50))
def test_whatever_comes_in_the_cap_is_within_1_and_the_ceiling(env: dict[str, str], snapshot: Any, most: int) -> None:
    decision = decide_cap(env, snapshot, most)
    assert 1 <= decision.cap <= decision.ceiling
    assert decision.cap in {1, decision.ceiling // 2, decision.ceiling}
    assert decision.dynamic == (env.get(DYNAMIC) == "1")
    assert decision.reason.isprintable()
    assert all(usage is None or math.isfinite(usage) for usage in (decision.cpu, decision.memory))
    json.dumps(decision.to_json(), allow_nan=False)


@given(ENVIRONMENTS, SNAPSHOTS, SNAPSHOTS, st.integers(1, 50))
def test_a_fixed_cap_depends_on_no_snapshot(env: dict[str, str], one: Any, other: Any, most: int) -> None:
    env = {name: value for name, value in env.items() if name != DYNAMIC}
    assert decide_cap(env, one, most) == decide_cap(env, other, most)


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 100), st.floats(0, 100), st.integers(1, 50))
def test_more_load_never_means_more_sessions(cpu: float, memory: float, cpu2: float, memory2: float, most: int) -> None:
    low = decide_cap(ON, load(min(cpu, cpu2), min(memory, memory2)), most)
    high = decide_cap(ON, load(max(cpu, cpu2), max(memory, memory2)), most)
    assert high.cap <= low.cap
