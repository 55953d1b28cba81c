"""Names: everything accepted is safe in a ref, a path and an argument; everything hostile is refused with a message."""

from __future__ import annotations

import re
import subprocess
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loki_hooks.domain.names import (
    DEFAULT_BRANCHES,
    MAX_NAME,
    BranchIdentity,
    check_template,
    fill,
    free_name,
    identify_branch,
    is_name,
    name_of_branch,
    nearest,
    shown,
    slug,
    stream_id,
    validate_name,
)
from loki_hooks.domain.streams.signals import NAMED, PLAIN, SignalName, parse_signal, require_signal
from loki_hooks.errors import BadInputError

HOSTILE = [
    "",
    "-rf",
    "--help",
    "a/../../b",
    "..",
    ".",
    "../x",
    "/x",
    "x/",
    "a//b",
    "x;touch y",
    "$(touch y)",
    "`id`",
    "x" * 300,
    "x" * (MAX_NAME + 1),
    "🚀",
    "ünï",
    "a\nb",
    "a\x00b",
    "a\x1b[31mb",
    "a b",
    "a\tb",
    "a~1",
    "a^",
    "a:b",
    "a?",
    "a*",
    "[a]",
    "a\\b",
    "@",
    "@{-1}",
    "a@{b",
    ".hidden",
    "a/.hidden",
    "a.lock",
    "a.lock/b",
    "a.",
    "a./b",
    "a..b",
    "-/a",
    "a/-b",
    "x\n",
    "\u202ea",
    "\u0661",
    "\uff41",
]

segments = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,12}", fullmatch=True)
candidates = st.one_of(
    st.text(max_size=20),
    st.text(alphabet="ab.-_/~^@{}lock\n ", max_size=20),
    st.lists(segments, min_size=1, max_size=4).map("/".join),
)
names = candidates.filter(is_name)


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: shown(name, 30))
def test_a_hostile_name_is_refused_with_a_message_that_a_terminal_survives(name: str) -> None:
    with pytest.raises(BadInputError) as refused:
        validate_name(name)
    assert refused.value.exit_code == 2
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 200
    assert refused.value.hint


@given(names)
def test_an_accepted_name_is_one_plain_path_component_in_every_form(name: str) -> None:
    ident = stream_id("feature", name)
    for part in (ident, *name.split("/")):
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", part)
        assert PurePosixPath(part).name == part
    assert ".." not in PurePosixPath(name).parts
    assert len(ident) <= MAX_NAME + len("feature-")


@settings(max_examples=15, deadline=None)
@given(st.lists(candidates, max_size=40))
def test_git_accepts_every_branch_of_an_accepted_name(words: list[str]) -> None:
    many = [word for word in words if is_name(word)]
    refs = [f"refs/heads/feature/{n}" for n in many] + [f"refs/loki/base/{stream_id('feature', n)}" for n in many]
    script = 'for ref do git check-ref-format "$ref" || { echo "$ref"; exit 1; }; done'
    done = subprocess.run(["sh", "-c", script, "sh", *refs], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@given(names)
def test_a_branch_made_from_a_template_says_which_stream_it_is(name: str) -> None:
    for template in ("feature/{name}", "agent/{agent}/{name}", "{user}/{name}", "s-{name}-x"):
        branch = fill(template, {"name": name, "agent": "claude", "user": "ann"})
        found = identify_branch(branch, {"feature": template}, {"user": "ann"})
        assert found == BranchIdentity("feature", name)


@given(st.text(max_size=40))
def test_a_recognised_branch_always_has_a_valid_name(branch: str) -> None:
    found = identify_branch(f"feature/{branch}", DEFAULT_BRANCHES, {})
    assert found is None or validate_name(found.name) == branch


def test_standing_branches_are_recognised_and_others_are_not() -> None:
    assert identify_branch("parallel-testing", DEFAULT_BRANCHES, {}) == BranchIdentity("testing", "testing")
    for stranger in ("main", "feature", "feature/", "xfeature/a", "feature/a\n", "feature/-rf"):
        assert identify_branch(stranger, DEFAULT_BRANCHES, {}) is None


def test_an_id_is_kind_and_name_and_a_kinds_own_stream_is_the_kind() -> None:
    assert stream_id("feature", "auth") == "feature-auth"
    assert stream_id("feature", "ui/menu") == "feature-ui-menu"
    assert stream_id("docs", "docs") == "docs"


@given(st.text(max_size=60))
def test_a_slug_is_empty_or_a_safe_component(text: str) -> None:
    made = slug(text)
    assert made == "" or re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", made)
    assert len(made) <= 40


@given(st.text(max_size=200))
def test_what_is_shown_is_one_printable_line(text: str) -> None:
    assert shown(text).isprintable()


def test_an_unknown_placeholder_is_named_with_the_nearest_known_one() -> None:
    assert check_template("../{project}-{stream}") == "../{project}-{stream}"
    with pytest.raises(BadInputError, match="porject") as refused:
        check_template("../{porject}")
    assert "{project}" in (refused.value.hint or "")


@given(st.dictionaries(st.sampled_from(["name", "kind"]), st.text(max_size=10)))
def test_filling_replaces_once_and_evaluates_nothing(values: dict[str, str]) -> None:
    assert (
        fill("{name}{kind}{other}", values) == values.get("name", "{name}") + values.get("kind", "{kind}") + "{other}"
    )


def test_the_nearest_word_is_offered_only_when_it_is_near() -> None:
    assert nearest("spwan", ["spawn", "stop"]) == "spawn"
    assert nearest("zzz", ["spawn", "stop"]) is None


@given(names, st.sampled_from(NAMED))
def test_a_signal_name_comes_back_from_its_file_name(name: str, kind: str) -> None:
    file = SignalName(kind, name).file
    assert "/" not in file
    assert parse_signal(file) == SignalName(kind, name.replace("/", "-"))
    assert parse_signal(f"{file}.ack") is None
    assert parse_signal(f".{file}.tmp") is None


@given(st.text(max_size=40))
def test_any_text_is_a_safe_signal_name_or_none(text: str) -> None:
    for word in (text, f"FEATURE_READY_{text}"):
        found = parse_signal(word)
        assert found is None or (found.file == word and PurePosixPath(word).name == word)


@pytest.mark.parametrize(
    "word",
    [
        "FEATURE_READY_../../x",
        "../FEATURE_READY_x",
        "FEATURE_READY_",
        "FEATURE_READY",
        "x\ny",
        "FEATURE_READY_" + "x" * 300,
        "FEATURE_READY_x.ack",
        ".FEATURE_READY_x",
        "",
    ],
)
def test_what_is_no_signal_is_refused_with_the_list_of_signals(word: str) -> None:
    with pytest.raises(BadInputError) as refused:
        require_signal(word)
    assert "FEATURE_READY_<name>" in (refused.value.hint or "")


def test_plain_signals_are_signals() -> None:
    assert [parse_signal(name) for name in PLAIN] == [SignalName(name) for name in PLAIN]


@given(st.text(min_size=1))
def test_any_branch_gives_a_name(branch: str) -> None:
    name = name_of_branch(branch)
    assert validate_name(name) == name
    assert "/" not in name
    assert validate_name(free_name(name, lambda other: other != name)) != name


@given(st.lists(st.sampled_from(["x", "a/b", "a-b", "ü", "y" * 80]), max_size=12))
def test_names_that_are_given_one_after_the_other_differ(branches: list[str]) -> None:
    taken: set[str] = set()
    for branch in branches:
        taken.add(free_name(name_of_branch(branch), lambda name: name not in taken))
    assert len(taken) == len(branches)


@pytest.mark.parametrize(
    ("branch", "name"),
    [
        ("worktree-fox", "worktree-fox"),
        ("jane/fix/login", "jane-fix-login"),
        ("fix#12..3", "fix-12.3"),
        ("日本", "worktree"),
    ],
)
def test_a_name_is_the_branch_with_dashes(branch: str, name: str) -> None:
    assert name_of_branch(branch) == name
