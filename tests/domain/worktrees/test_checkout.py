"""When a checkout is nothing but the blobs' bytes: a harmless setting passes, everything else is git's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.worktrees.checkout import why_not_plain_attributes, why_not_plain_config, why_not_plain_entries
from loki_hooks.domain.worktrees.index_file import IndexEntry


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"core.autocrlf": "input"},
        {"core.autocrlf": "false"},
        {"core.eol": "native"},
        {"core.symlinks": "true"},
        {"core.sparsecheckout": "false"},
        {"core.filemode": "true", "core.bare": "false", "user.name": "x"},
        {"core.fsmonitor": "/some/hook"},
        {"core.sharedrepository": "umask"},
        {"filter.lfs.smudge": "git-lfs smudge -- %f"},
    ],
)
def test_harmless_settings(config: dict[str, str]) -> None:
    assert why_not_plain_config(config) == ""


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("core.autocrlf", "true"),
        ("core.autocrlf", "YES"),
        ("core.autocrlf", "1"),
        ("core.eol", "crlf"),
        ("core.symlinks", "false"),
        ("core.filemode", "0"),
        ("core.sparsecheckout", "true"),
        ("core.splitindex", "true"),
        ("core.ignorecase", "true"),
        ("core.worktree", "x"),
        ("extensions.partialclone", "origin"),
        ("remote.origin.promisor", "true"),
        ("core.sharedrepository", "group"),
        ("core.symlinks", ""),
    ],
)
def test_settings_that_change_what_is_written(key: str, value: str) -> None:
    assert why_not_plain_config({"user.name": "x", key: value}) == key


def entry(path: bytes, mode: int = 0o100644, *, odd: bool = False) -> IndexEntry:
    return IndexEntry(0, mode, "0" * 40, path, 0, odd)


@pytest.mark.parametrize(
    "path",
    [
        b".git/hooks/x",
        b"a/.GIT/config",
        b"git~1/config",
        b"a\\b",
        b"c:d",
        "x/.g\u200cit/config".encode(),
        b"../up",
        b"a//b",
        b"a/./b",
        b"new\nline",
        b"\xff\xfe",
        b"/abs",
    ],
)
def test_names_that_some_system_reads_otherwise(path: bytes) -> None:
    assert "the name" in why_not_plain_entries([entry(b"ok"), entry(path)])


@pytest.mark.parametrize(
    "path", [b"a", b".gitignore", b"src/.github/x.yml", "naïve/日本.txt".encode(), b"a b/c d", b"...", b".git.txt"]
)
def test_names_that_are_harmless(path: bytes) -> None:
    assert why_not_plain_entries([entry(path)]) == ""


@pytest.mark.parametrize("mode", [0o160000, 0o40000, 0o100664, 0])
def test_what_is_neither_file_program_nor_link(mode: int) -> None:
    assert "mode" in why_not_plain_entries([entry(b"x", mode)])
    assert why_not_plain_entries([entry(b"x", odd=True)])


@given(st.binary(min_size=1, max_size=40).filter(lambda b: b"\0" not in b))
def test_no_path_that_passes_leads_out_or_into_git(path: bytes) -> None:
    if why_not_plain_entries([entry(path)]) == "":
        parts = path.split(b"/")
        assert not {b"", b".", b".."} & set(parts)
        assert not any(part.lower() == b".git" for part in parts)


@given(st.sampled_from(["text", "crlf", "eol", "ident", "filter", "working-tree-encoding"]), st.text(max_size=12))
def test_attributes_pass_only_with_values_that_are_known_to_leave_bytes_alone(name: str, value: str) -> None:
    known = {"text": {"set", "auto"}, "crlf": {"set", "input"}, "eol": {"lf"}}.get(name, set()) | {
        "unspecified",
        "unset",
    }
    assert (why_not_plain_attributes([(name, value)]) == "") == (value in known)


def test_the_attributes_that_matter_are_named() -> None:
    assert "filter (lfs)" in why_not_plain_attributes([("text", "unset"), ("filter", "lfs")])
    assert "eol (crlf)" in why_not_plain_attributes([("eol", "crlf")])
    assert "ident" in why_not_plain_attributes([("ident", "set")])
