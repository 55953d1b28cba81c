"""The classifier of removals: any one reason to keep is enough, and unknown is a reason."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.removal.classify import Going, WorktreeFacts, classify

SAFE = WorktreeFacts(own_commits=True, merged_by="abc is in main")
REASONS: list[tuple[dict[str, object], str]] = [
    ({"is_main": True}, "main worktree"),
    ({"modified": ("a",)}, "uncommitted changes: a"),
    ({"untracked": ("a", "b", "c", "d", "e")}, "untracked files: a, b, c and 2 more"),
    ({"precious": ("db.sqlite",)}, "ignored files of somebody's: db.sqlite"),
    ({"processes": ("vim (pid 1)",)}, "live processes inside: vim (pid 1)"),
    ({"lock": "usb"}, "locked: usb"),
    ({"lock": ""}, "no reason given"),
    ({"operation": "rebase"}, "rebase is in progress"),
    ({"unreachable": ("abc",)}, "nowhere else: abc"),
    ({"submodule_work": ("lib",)}, "submodules: lib"),
    ({"stashes": ("stash@{0}",)}, "stashes made here: stash@{0}"),
    ({"session_alive": True}, "session is alive"),
    ({"is_current": True}, "you are in it"),
    ({"unreadable": "permission denied"}, "permission denied"),
    ({"own_commits": False}, "it is new"),
    ({"away": "it was moved, or unplugged"}, "moved, or unplugged"),
    ({"merged_by": ""}, "not in the integration branch"),
]


def test_merged_clean_and_quiet_is_the_one_way_to_go() -> None:
    removal = classify(SAFE)
    assert removal.remove
    assert removal.reasons == ("abc is in main",)
    assert classify(replace(SAFE, folder=False)).reasons[-1] == "its folder is gone"


@pytest.mark.parametrize(("change", "text"), REASONS, ids=lambda v: next(iter(v)) if isinstance(v, dict) else "")
def test_each_reason_alone_keeps_it(change: dict[str, object], text: str) -> None:
    removal = classify(replace(SAFE, **change))  # type: ignore[arg-type]
    assert not removal.remove
    assert len(removal.reasons) == 1
    assert text in removal.reasons[0]


@given(st.sets(st.integers(0, len(REASONS) - 1), min_size=1))
def test_all_reasons_are_named_and_none_outweighs_another(chosen: set[int]) -> None:
    facts = SAFE
    for index in chosen:
        facts = replace(facts, **REASONS[index][0])  # type: ignore[arg-type]
    removal = classify(facts)
    assert not removal.remove
    kinds = {next(iter(REASONS[index][0])) for index in chosen}
    if "own_commits" in kinds:  # what is new is not said to be unmerged as well
        kinds.discard("merged_by")
    assert len(removal.reasons) == len(kinds)


def test_a_branch_with_no_commit_of_its_own_is_new_never_merged() -> None:
    facts = WorktreeFacts(own_commits=False, merged_by="abc is in main")
    assert not classify(facts).remove
    assert "new" in classify(facts).reasons[0]


def test_what_is_away_goes_by_a_persons_word_alone() -> None:
    facts = replace(SAFE, away="it was moved, or unplugged", folder=False)
    assert {going: classify(facts, going).remove for going in Going} == {
        Going.ALL: False,
        Going.WORKTREE: False,
        Going.TO_TRASH: True,
    }


def test_every_fact_is_covered_here() -> None:
    """A fact that is added must be shown to keep, or to be no reason."""
    known = {next(iter(change)) for change, _ in REASONS} | {"folder", "ended", "detached", "nested"}
    assert {f.name for f in fields(WorktreeFacts)} <= known
