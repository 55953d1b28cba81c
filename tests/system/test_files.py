"""Whole-file writes, harmless reads, and a lock that ends with its process."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.errors import LokiError
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.json import MAX_DEPTH, dump_json, parse_json, read_json


def test_a_write_replaces_the_whole_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_atomic(path, "one\n", mode=0o600)
    write_atomic(path, b"two\n")
    assert path.read_text() == "two\n"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_write_never_goes_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("theirs")
    path = tmp_path / "file"
    path.symlink_to(outside)
    write_atomic(path, "ours")
    assert outside.read_text() == "theirs"
    assert not path.is_symlink()


def test_a_write_over_a_folder_says_so_and_cleans_up(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(LokiError, match="cannot write"):
        write_atomic(tmp_path / "file", "x")
    assert [p.name for p in tmp_path.iterdir() if p.name != "home"] == ["file"]


def test_readers_see_the_old_or_the_new_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, "a" * 200_000)
    stop = threading.Event()

    def keep_writing() -> None:
        while not stop.is_set():
            for letter in "ab":
                write_atomic(path, letter * 200_000)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        for _ in range(200):
            raw = read_plain(path)
            assert raw in {b"a" * 200_000, b"b" * 200_000}
    finally:
        stop.set()
        writer.join()


def test_only_plain_files_of_a_bounded_size_are_read(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"12345")
    (tmp_path / "link").symlink_to(plain)
    os.mkfifo(tmp_path / "fifo")
    assert read_plain(plain) == b"12345"
    assert read_plain(plain, limit=5) == b"12345"
    assert read_plain(plain, limit=4) is None
    for other in ("link", "fifo", ".", "absent"):
        assert read_plain(tmp_path / other) is None


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(json_values)
def test_json_that_was_written_is_read_back(value: Any) -> None:
    assert parse_json(dump_json(value).encode("utf-8")) == value


def test_bytes_that_are_no_utf8_survive_a_json_file(tmp_path: Path) -> None:
    """A path's surrogates, written as raw bytes, would make the whole file unreadable."""
    write_atomic(tmp_path / "file", dump_json({"path": os.fsdecode(b"/w/\xff"), "odd": "\ud800", "ü": 1}))
    assert read_json(tmp_path / "file") == {"path": "/w/\udcff", "odd": "\ud800", "ü": 1}


@given(st.binary(max_size=40) | st.text(alphabet='{}[]",:1eNaInfity-.', max_size=20).map(str.encode))
def test_any_bytes_are_json_that_can_be_written_again_or_none(raw: bytes) -> None:
    value = parse_json(raw)
    assert parse_json(dump_json(value).encode()) == value


@pytest.mark.parametrize(
    "raw",
    [
        b"NaN",
        b"[Infinity]",
        b"1e999",
        b"-1e999",
        b'{"a": ',
        b"\xff",
        b"",
        b"[" * 100_000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b"9" * 5000,
    ],
)
def test_what_no_program_could_use_is_no_json(raw: bytes) -> None:
    assert parse_json(raw) is None


def test_a_byte_order_mark_is_no_fault() -> None:
    assert parse_json(b"\xef\xbb\xbf{}") == {}


def test_a_json_document_ends_with_a_line_break() -> None:
    assert json.loads(dump_json([1])) == [1]
    assert dump_json([]).endswith("\n")
