"""Titles of our commits are written as the project writes them."""

from __future__ import annotations

import pytest

from loki_hooks.domain.sessions.titles import fitting_title

CONVENTIONAL = ("feat: add a", "fix(parser)!: drop b", "Merge branch 'x'", "Initial commit", "chore: c")


@pytest.mark.parametrize(
    ("title", "subjects", "expected"),
    [
        ("Add search", CONVENTIONAL, "chore: add search"),
        ("API for search", CONVENTIONAL, "chore: API for search"),
        ("feat: add search", CONVENTIONAL, "feat: add search"),
        ("Add search", ("Add a", "feat: b"), "Add search"),
        ("Add search", (), "Add search"),
        ("Add search", ("Merge x", "Merge y"), "Add search"),
    ],
)
def test_the_form_of_most_is_taken(title: str, subjects: tuple[str, ...], expected: str) -> None:
    assert fitting_title(title, subjects) == expected
