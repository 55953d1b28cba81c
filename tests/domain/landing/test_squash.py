"""What one commit keeps of those that it is made of."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.landing.squash import Made, squash

ADA, BOB, EVE = "Ada <ada@example.org>", "Bob <bob@example.org>", "Eve <eve@example.org>"


def test_the_author_of_most_commits_is_its_author_and_the_others_are_co_authors() -> None:
    made = squash([Made(BOB, "1 +0000", "One"), Made(ADA, "2 +0000", "Two"), Made(ADA, "3 +0100", "Three")])
    assert made is not None
    assert (made.author, made.date) == (ADA, "3 +0100")
    assert made.footers == (f"Co-authored-by: {BOB}",)


def test_footers_and_what_breaks_are_kept_once() -> None:
    footers = f"Co-authored-by: {EVE}\nSigned-off-by: {ADA}\nLoki-Item: 0123456789abcdef\nCloses #12"
    breaks = "BREAKING CHANGE: the wire\nformat is new"
    first = f"feat: one\n\nWhy: it was asked for.\nMore text.\n\n{breaks}\n\n{footers}\nLoki-Tip: 123"
    second = f"Two\n\nbody\n\nco-authored-by: {EVE}\n{breaks}\nRefs: 7\n"
    made = squash([Made(ADA, "1 +0000", first), Made(ADA, "2 +0000", second)])
    assert made is not None
    assert made.notes == (breaks, "Closes #12")
    assert made.footers == (*footers.splitlines()[:-1], "Refs: 7")


def test_nothing_is_squashed_of_nothing() -> None:
    assert squash([]) is None


@given(st.lists(st.tuples(st.sampled_from([ADA, BOB, EVE]), st.text(max_size=60)), min_size=1, max_size=6))
def test_nobody_is_left_out_and_every_footer_is_one_line(commits: list[tuple[str, str]]) -> None:
    made = squash([Made(author, "1 +0000", message) for author, message in commits])
    assert made is not None
    named = {made.author, *(f.removeprefix("Co-authored-by: ") for f in made.footers)}
    assert {author for author, _ in commits} <= named
    assert all(re.fullmatch(r"[A-Za-z0-9-]+: .+", footer) for footer in made.footers), "all that git takes for footers"
