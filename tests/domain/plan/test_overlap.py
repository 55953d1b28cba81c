"""Globs are compared with globs: whatever path matches both, the two overlap; and plain cases of each kind."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.plan.overlap import common, glob_problem, overlaps

NAME = st.sampled_from(["a", "b", "ab", "a.py", "b.py"])
PART = st.sampled_from(["*", "?", "**", "*.py", "a*", "[ab]", "a", "b", "ab", "a.py"])
GLOB = st.lists(PART, min_size=1, max_size=4).map("/".join)
PATH = st.lists(NAME, min_size=1, max_size=4).map("/".join)


def matches(glob: str, path: str) -> bool:
    """Whether the glob, or a folder that it names, has the path; told by a regular expression."""
    pattern = ""
    for part in glob.split("/"):
        if part == "**":
            pattern += "(?:[^/]+/)*"
            continue
        pattern += "".join(
            "[^/]*" if c == "*" else "[^/]" if c == "?" else re.escape(c) if c not in "[]" else c for c in part
        )
        pattern += "/"
    below = "" if re.search(r"[*?\[]", glob.rpartition("/")[2]) else "(?:[^/]+/)*"
    return re.fullmatch(pattern + below, f"{path}/") is not None


@given(GLOB, GLOB, PATH)
def test_what_matches_both_is_an_overlap(one: str, other: str, path: str) -> None:
    if matches(one, path) and matches(other, path):
        assert overlaps(one, other)


@given(GLOB, GLOB)
def test_it_does_not_matter_which_is_asked_first(one: str, other: str) -> None:
    assert overlaps(one, other) == overlaps(other, one)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("src/auth/**", "src/auth/token.py", True),
        ("src/auth", "src/auth/token.py", True),
        ("src/auth/", "src/auth", True),
        ("src/auth/**", "src/authors/x.py", False),
        ("src/a.py", "src/b.py", False),
        ("**/test_*.py", "src/auth/**", True),
        ("**/*.md", "src/**/*.py", False),
        ("src/*.py", "src/deep/a.py", False),
        ("docs/**", "src/**", False),
        ("a[bc]d", "acd", True),
        ("*", "README.md", True),
    ],
)
def test_plain_cases(one: str, other: str, expected: bool) -> None:
    assert overlaps(one, other) is expected


def test_what_they_have_in_common_is_the_narrower_of_the_two() -> None:
    assert common(["src/**", "docs/a.md"], ["src/auth/**"]) == ("src/auth/**",)
    assert common(["src/**"], ["docs/**"]) == ()


@pytest.mark.parametrize("glob", ["", " ", "/etc/passwd", "../x", "a/../../b", "~/x", "a\nb", "a\0", "a[b", "a***"])
def test_what_is_no_glob_is_said(glob: str) -> None:
    assert glob_problem(glob)


@pytest.mark.parametrize("glob", ["src/**", "*.py", "a[bc]", "not/there/yet.py", "a..b"])
def test_what_matches_nothing_yet_is_fine(glob: str) -> None:
    assert not glob_problem(glob)
