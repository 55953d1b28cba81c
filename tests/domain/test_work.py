"""The command lines of workers: what is written is read back, and nothing else is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.work import (
    GateWork,
    OtherWork,
    ReconcileWork,
    SessionWork,
    SetupWork,
    TurnsWork,
    ViewWork,
    Work,
    parse,
    work_of,
)

PROGRAM = ["/usr/bin/python3", "-P", "/opt/lib/loki_hooks/__main__.py"]
word = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
number = st.integers(0, 2**31)
works = st.one_of(
    st.builds(ReconcileWork, word, word, word, st.lists(st.tuples(number, word), max_size=4)),
    st.builds(GateWork, word, word, word, number, word),
    st.builds(SessionWork, word, word, word),
    st.builds(SetupWork, word, word),
    st.builds(TurnsWork, word),
    st.builds(ViewWork, word),
)
KINDS = ("reconcile", "gate", "session", "setup", "turns", "view")
near_misses = st.tuples(st.sampled_from(["worker", ""]), st.sampled_from([*KINDS, ""])).flatmap(
    lambda start: st.lists(word | st.sampled_from(["1", "7=x", "²", "9" * 5000]), max_size=6).map(
        lambda rest: [*start, *rest]
    )
)


@given(works)
def test_what_is_written_is_read_back(work: Work) -> None:
    assert parse(work.words()) == work
    assert parse(list(work.words())) == work
    assert work_of([*PROGRAM, *work.words()]) == work
    assert hash(parse(work.words())) == hash(work)


@given(st.lists(word, max_size=8) | near_misses)
def test_what_is_read_says_the_same_words_and_junk_is_nothing(words: list[str]) -> None:
    work = parse(words)
    assert work is None or parse(work.words()) == work
    if words[:1] != ["worker"] or words[1:2] == [] or words[1] not in KINDS:
        assert work is None


@pytest.mark.parametrize(
    "words",
    [
        "",
        "worker",
        "gate c t s 1 /p",
        "worker gate c t s one /p",
        "worker gate c t s -1 /p",
        "worker gate c t s 1",
        "worker session s /p",
        "worker session s token /p more",
        "worker reconcile post-commit native",
        "worker reconcile post-commit native /p 12",
        "worker reconcile post-commit native /p =x",
        "worker turns",
        "worker dance /p",
    ],
)
def test_words_of_another_form_are_junk(words: str) -> None:
    assert parse(words.split()) is None


@pytest.mark.parametrize(
    ("work", "line"),
    [
        (
            ReconcileWork("post-commit", "native", "/p", [(12, "b:3"), (4, "b:1")]),
            "worker reconcile post-commit native /p 12=b:3 4=b:1",
        ),
        (GateWork("c", "t", "train", 3, "/p"), "worker gate c t train 3 /p"),
        (SessionWork("feature-x", "token", "/p"), "worker session feature-x token /p"),
        (SetupWork("feature-x", "/p"), "worker setup feature-x /p"),
        (TurnsWork("/p"), "worker turns /p"),
        (ViewWork("/s"), "worker view /s"),
    ],
)
def test_the_words_are_those_of_every_release(work: Work, line: str) -> None:
    """Workers of another release run beside ours: a change here needs one that reads both."""
    assert " ".join(work.words()) == line


def test_a_value_cannot_be_changed_and_is_not_another_with_the_same_fields() -> None:
    work = SessionWork("feature-x", "token", "/p")
    with pytest.raises(AttributeError):
        work.stream = "feature-y"
    assert work != SessionWork("feature-x", "other", "/p")
    assert work != work.words()
    assert work.names("/p")
    assert not work.names("/q")


def test_a_worker_of_another_release_is_one_all_the_same() -> None:
    later = work_of([*PROGRAM, "worker", "judge", "/p"])
    assert later == OtherWork(("worker", "judge", "/p"))
    assert later is not None
    assert (later.names("/p"), later.stream) == (True, "")


@pytest.mark.parametrize(
    "argv",
    [
        [],
        PROGRAM,
        [*PROGRAM, "worker"],
        [*PROGRAM, "hook", "post-commit"],
        ["vim", "loki_hooks/__main__.py"],
        ["/usr/bin/python3", "other.py", "worker", "turns", "/p"],
        ["sh", "-c", "x", "y", "z", "loki_hooks/__main__.py", "worker", "turns", "/p"],
        ["worker", "turns", "/p"],
    ],
)
def test_other_processes_are_no_workers(argv: list[str]) -> None:
    assert work_of(argv) is None
