"""The lines of a refused commit that tell why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.sessions.refusal import why_refused
from loki_hooks.errors import GitFailedError, reason_in

FRAMEWORK = """\
[WARNING] Unstaged files detected.
trim trailing whitespace.................................................Passed
ruff.....................................................................Failed
- hook id: ruff
- exit code: 1

app.py:1:8: F401 `os` imported but unused
Found 1 error.
mypy.................................................(no files to check)Skipped
"""


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (FRAMEWORK, "ruff: app.py:1:8: F401 `os` imported but unused Found 1 error."),
        ("black....Failed\n- hook id: black\n- files were modified by this hook\n", "black failed"),
        ("> lint\nchecking 12 files\na.js: error: no\n✖ 1 problem\n", "a.js: error: no ✖ 1 problem"),
        ("lint: new.py has FORBIDDEN\n", "lint: new.py has FORBIDDEN"),
        ("one\ntwo\n", "one two"),
        ("", ""),
    ],
)
def test_the_failing_lines_come_first(said: str, why: str) -> None:
    assert why_refused(said) == why


@given(st.text(max_size=2000))
def test_it_is_one_short_line(said: str) -> None:
    for why in (why_refused(said), reason_in(said)):
        assert "\n" not in why
        assert len(why) <= 300


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("fatal: bad revision 'x'\nUse '--' to separate paths\n'git <command>'", "fatal: bad revision 'x'"),
        ("warning: x\nhint: y\nerror: pathspec 'a' did not match\nerror: and more", "error: pathspec 'a' did not match"),
        ("sh: git-lfs: not found\nfatal: the remote end hung up", "sh: git-lfs: not found (fatal: the remote end hung up)"),
        ("remote: Resolving deltas: 100%\nremote: \nremote: denied by policy\n ! [rejected]", "remote: denied by policy"),
        ("To ../o.git\n! [rejected] main -> main (fetch first)\nerror: failed to push", "[rejected] main -> main (fetch first)"),
        ("error: Changes would be overwritten:\n\ta.txt\nAborting", "error: Changes would be overwritten: a.txt"),
        ("Not possible to fast-forward, aborting.", "Not possible to fast-forward, aborting."),
        ("", "no reason given"),
    ],
)  # fmt: skip
def test_the_first_line_that_tells_is_gits_reason(said: str, why: str) -> None:
    assert reason_in(said) == why
    assert not said or why in GitFailedError(("push",), 1, said).message
