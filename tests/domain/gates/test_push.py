"""What git and the frameworks say about a push."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.gates.push import RefUpdate, framework_push, parse_push
from loki_hooks.errors import BadInputError

NULL = "0" * 40
OID = "a" * 40
oids = st.text("0123456789abcdef", min_size=40, max_size=40) | st.text("0123456789abcdef", min_size=64, max_size=64)
words = st.text(st.characters(exclude_characters="\n \r", exclude_categories=("Cc", "Cs")), min_size=1)


typed = st.lists(words, min_size=1, max_size=3).map(" ".join)


@given(st.lists(st.builds(RefUpdate, typed, oids, words, oids), max_size=5))
def test_what_git_writes_is_read_back(updates: list[RefUpdate]) -> None:
    """Blanks in what was typed as the local ref included."""
    text = "".join(f"{u.local_ref} {u.local_oid} {u.remote_ref} {u.remote_oid}\n" for u in updates)
    assert parse_push(text) == tuple(updates)


@pytest.mark.parametrize("line", ["x", f"a {OID} b", f"a {OID} b {OID[:-1]}", f"a zz b {OID}", f" {OID} b {OID}"])
def test_a_line_that_is_not_understood_closes_the_gate(line: str) -> None:
    with pytest.raises(BadInputError):
        parse_push(f"{line}\n")


def test_deletions_tags_and_branches() -> None:
    assert parse_push(f"(delete) {NULL} refs/heads/x {OID}\n")[0].deletes
    tag, branch = parse_push(f"v1 {OID} refs/tags/v1 {NULL}\nHEAD~1 {OID} refs/heads/a/b {NULL}\n")
    assert (tag.branch, branch.branch, branch.deletes) == ("", "a/b", False)
    assert parse_push("") == ()


def test_the_frameworks_tell_of_one_ref() -> None:
    env = {"PRE_COMMIT_LOCAL_BRANCH": "refs/heads/x", "PRE_COMMIT_REMOTE_BRANCH": "refs/heads/y"}
    assert framework_push({**env, "PRE_COMMIT_TO_REF": OID, "PRE_COMMIT_FROM_REF": NULL}) == (
        RefUpdate("refs/heads/x", OID, "refs/heads/y", NULL),
    )
    (whole_history,) = framework_push(env)
    assert (whole_history.local_oid, whole_history.deletes) == ("", False)
    assert framework_push({}) == ()
