"""How a finished run is judged: by its end, and by whether anything ran."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.gates.judging import judge, nothing_ran
from loki_hooks.domain.gates.results import Outcome

PASSED, FAILED, COULD_NOT_RUN = Outcome.PASSED, Outcome.FAILED, Outcome.COULD_NOT_RUN
GO_WITHOUT = "?   \texample.com/a\t[no test files]\n?   \texample.com/b\t[no test files]\n"


@pytest.mark.parametrize(
    ("code", "output", "outcome"),
    [
        (0, "3 passed in 0.1s", PASSED),
        (1, "1 failed", FAILED),
        (2, "", FAILED),
        (5, "", FAILED),
        (126, "", COULD_NOT_RUN),
        (127, "sh: pytest: not found", COULD_NOT_RUN),
        (-9, "", COULD_NOT_RUN),
        (-15, "", COULD_NOT_RUN),
        (137, "", COULD_NOT_RUN),
        (143, "", COULD_NOT_RUN),
        (-6, "", FAILED),
        (-11, "", FAILED),
        (-2, "", FAILED),
        (134, "Aborted\nRan 0 tests in 0.000s\n3 passed", FAILED),
        (139, "Segmentation fault", FAILED),
        (-11, "collected 0 items\n", FAILED),
        (250, "", FAILED),
        (5, "collected 0 items\n\n=== no tests ran in 0.01s ===", COULD_NOT_RUN),
        (5, "no tests ran in 0.01s", COULD_NOT_RUN),
        (5, "3 deselected in 0.01s", COULD_NOT_RUN),
        (5, "collected 3 items / 3 deselected / 0 selected\n\n=== 3 deselected, 1 warning in 0.02s ===", COULD_NOT_RUN),
        (0, "collected 3 items / 2 deselected / 1 selected\n\n=== 1 passed, 2 deselected in 0.02s ===", PASSED),
        (2, "collected 0 items / 2 errors\n\n=== 2 errors in 0.10s ===", FAILED),
        (2, "no tests collected, 1 error in 0.05s", FAILED),
        (1, "collected 0 items / 1 error\r\n!!! Interrupted: 1 error during collection !!!", FAILED),
        (0, "\nRan 0 tests in 0.000s\n\nOK", COULD_NOT_RUN),
        (0, "\nRan 0 tests in 0.000s\n\nOK\n\nRan 2 tests in 0.1s\n\nOK", PASSED),
        (1, "No tests found, exiting with code 1", COULD_NOT_RUN),
        (0, "No tests found, exiting with code 0\nPASS b/sum.test.js\nTests:       12 passed, 12 total", PASSED),
        (1, "Tests:       1 failed, 12 total\nNo tests found, exiting with code 0", FAILED),
        (0, GO_WITHOUT, COULD_NOT_RUN),
        (0, f"ok  \texample.com/c\t0.1s\n{GO_WITHOUT}", PASSED),
        (0, "ok  \texample.com/c\t0.1s [no tests to run]\n", COULD_NOT_RUN),
        (1, f"{GO_WITHOUT}FAIL\texample.com/c [build failed]", FAILED),
        (0, "No tests were found!!!", COULD_NOT_RUN),
        (0, "No tests found\nok 1 - adds\n# pass 1", PASSED),
        (0, "0 examples, 0 failures", COULD_NOT_RUN),
        (0, "we say: no tests ran today? wrong", PASSED),
        (0, "", PASSED),
    ],
)
def test_what_a_run_says(code: int, output: str, outcome: Outcome) -> None:
    found, reason = judge(code, timed_out=False, empty=nothing_ran([output]))
    assert found is outcome
    assert bool(reason) == (outcome is not PASSED)


@given(st.integers(-64, 255), st.booleans())
def test_a_run_over_its_time_says_nothing_else(code: int, empty: bool) -> None:
    assert judge(code, timed_out=True, empty=empty)[0] is COULD_NOT_RUN


@given(st.integers(-64, 255), st.booleans(), st.booleans())
def test_only_exit_status_0_passes(code: int, timed_out: bool, empty: bool) -> None:
    outcome, _ = judge(code, timed_out=timed_out, empty=empty)
    assert (outcome is PASSED) == (code == 0 and not timed_out and not empty)


@given(
    st.sampled_from(["no tests ran in 0.1s\n", "ok  \ta\t0.1s [no tests to run]\n", "noise\n", "2 passed\n"]), st.data()
)
def test_how_an_output_comes_in_pieces_changes_nothing(line: str, data: st.DataObject) -> None:
    text = "begin\n" * 3 + line + "end\n" * 2
    at = data.draw(st.integers(0, len(text)))
    assert nothing_ran([text[:at], text[at:]]) == nothing_ran([text]) == ("no tests" in line)


def test_what_ran_long_before_counts() -> None:
    assert not nothing_ran(["=== 12 passed in 1s ===\n", *["noise " * 1000] * 50, "\nno tests ran in 0.1s\n"])
    assert nothing_ran(["no tests ran in 0.1s\n", *["noise " * 1000] * 50, "\n"])
