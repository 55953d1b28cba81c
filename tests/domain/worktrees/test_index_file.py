"""The index as a value: what git wrote is read right, and comes out again with nothing but the stat data changed."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.worktrees.index_file import STAT_BYTES, parse_index, with_stats


def git_index(
    folder: Path, paths: list[str], *, version: int = 2, form: str = "sha1", skip_hash: bool = False
) -> bytes:
    subprocess.run(["git", "init", "-q", f"--object-format={form}", str(folder)], check=True)
    blob = (
        "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
        if form == "sha1"
        else ("473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813")
    )
    lines = "".join(f"{100755 if n % 3 == 0 else 100644} {blob}\t{path}\n" for n, path in enumerate(paths))
    more = ["-c", f"index.version={version}", "-c", f"index.skipHash={str(skip_hash).lower()}"]
    subprocess.run(
        ["git", *more, "update-index", "--index-version", str(version), "--index-info"],
        cwd=folder,
        input=lines.encode(),
        check=True,
    )
    return (folder / ".git" / "index").read_bytes()


PATHS = ["a", "a.b", "a0/deep/er/x.py", "a0/deep/er/y.py", "a0/z", "long/" + "n" * 300, "tail é.txt", "z"]


@pytest.mark.parametrize("version", [2, 3, 4])
@pytest.mark.parametrize("form", ["sha1", "sha256"])
def test_what_git_wrote_is_read(tmp_path: Path, version: int, form: str) -> None:
    index = parse_index(git_index(tmp_path, PATHS, version=version, form=form), form)
    assert [e.path.decode() for e in index.entries] == sorted(PATHS, key=str.encode)
    assert {e.mode for e in index.entries} == {0o100644, 0o100755}
    assert all(not e.odd and e.size == 0 for e in index.entries)


@pytest.mark.parametrize("version", [2, 4])
def test_filled_in_git_reads_it_and_finds_the_numbers(tmp_path: Path, version: int) -> None:
    raw = git_index(tmp_path, PATHS, version=version)
    index = parse_index(raw)
    stats = b"".join(bytes([n]) * 24 + e.mode.to_bytes(4, "big") + bytes([n]) * 12 for n, e in enumerate(index.entries))
    filled = with_stats(index, stats)
    assert len(filled) == len(raw)
    assert filled[-20:] == hashlib.sha1(filled[:-20]).digest()
    (tmp_path / ".git" / "index").write_bytes(filled)
    listed = subprocess.run(["git", "ls-files", "--debug"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"ctime: {0x01010101}:{0x01010101}" in listed.stdout
    again = parse_index(filled)
    assert [(e.path, e.oid, e.mode) for e in again.entries] == [(e.path, e.oid, e.mode) for e in index.entries]


def test_without_a_hash_there_is_none_afterwards(tmp_path: Path) -> None:
    raw = git_index(tmp_path, PATHS)
    bare = raw[:-20] + bytes(20)
    filled = with_stats(parse_index(bare), bytes(STAT_BYTES * len(PATHS)))
    assert filled[-20:] == bytes(20)


@given(st.binary(max_size=400), st.integers(0, 400))
def test_what_is_no_index_is_refused_and_nothing_else_happens(data: bytes, cut: int) -> None:
    for raw in (data, b"DIRC\0\0\0\2\0\0\0\3" + data, b"DIRC\0\0\0\4\0\0\0\3" + data[:cut]):
        try:
            index = parse_index(raw)
        except ValueError:
            continue
        assert all(entry.offset + STAT_BYTES <= len(raw) for entry in index.entries)


def test_an_index_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    raw = git_index(tmp_path, PATHS)
    end = parse_index(raw).entries[-1].offset + 64
    for length in range(0, end, 7):
        with pytest.raises(ValueError):
            parse_index(raw[:length])
