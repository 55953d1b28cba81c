"""git's index as a value: its entries, and a copy with other stat data. Pure; gitformat-index(5), versions 2 to 4.

An entry begins with ten 32-bit numbers: ctime and mtime (seconds, nanoseconds), device, inode, mode, uid, gid, size.
git takes a file for unchanged when they match what lstat(2) says, so an index that was read from a tree becomes
one that knows its files when they are filled in. What git itself wrote is kept byte for byte otherwise.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

STAT_BYTES = 40
_EXTENDED = 0x4000
_SKIP_WORKTREE, _INTENT_TO_ADD = 0x4000, 0x2000
_HEAD = struct.Struct(">4sII")


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One path. ``offset`` is where its stat data begins, ``size`` the file's where the index knows it."""

    offset: int
    mode: int
    oid: str
    path: bytes
    size: int
    odd: bool = False
    """It is skipped (sparse checkout), only intended, or in a merge conflict."""


@dataclass(frozen=True)
class Index:
    raw: bytes
    hash_name: str
    entries: tuple[IndexEntry, ...]

    @cached_property
    def between(self) -> tuple[bytes, ...]:
        """What follows the stat data of each entry, up to that of the next; after the last, up to the hash at the end."""
        length = hashlib.new(self.hash_name, usedforsecurity=False).digest_size
        starts = [entry.offset for entry in self.entries]
        ends = [*starts[1:], len(self.raw) - length]
        return tuple(self.raw[start + STAT_BYTES : end] for start, end in zip(starts, ends, strict=True))


def parse_index(raw: bytes, hash_name: str = "sha1") -> Index:
    """Return the index in ``raw``. Raises ``ValueError`` for what is none, or of a kind that is not known here."""
    length = hashlib.new(hash_name, usedforsecurity=False).digest_size
    try:
        signature, version, count = _HEAD.unpack_from(raw)
        if signature != b"DIRC" or version not in {2, 3, 4}:
            raise ValueError(f"an index of version {version}")
        at, before, entries = _HEAD.size, b"", []
        for _ in range(count):
            entry, at = _entry(raw, at, length, before, version)
            entries.append(entry)
            before = entry.path
    except (struct.error, IndexError) as error:
        raise ValueError("the index is cut off") from error
    if at > len(raw) - length:
        raise ValueError("the index is cut off")
    return Index(raw, hash_name, tuple(entries))


def _entry(raw: bytes, start: int, length: int, before: bytes, version: int) -> tuple[IndexEntry, int]:
    mode, size = struct.unpack_from(">I8xI", raw, start + 24)
    at = start + STAT_BYTES
    oid = raw[at : at + length].hex()
    at += length
    (flags,) = struct.unpack_from(">H", raw, at)
    at += 2
    odd = bool(flags & 0x3000)
    if flags & _EXTENDED:
        (more,) = struct.unpack_from(">H", raw, at)
        at += 2
        odd = odd or bool(more & (_SKIP_WORKTREE | _INTENT_TO_ADD))
    if version == 4:
        strip, at = _varint(raw, at)
        if strip > len(before):
            raise ValueError("the index has a path that begins nowhere")
        end = raw.index(b"\0", at)
        path = before[: len(before) - strip] + raw[at:end]
        at = end + 1
    else:
        end = raw.index(b"\0", at)
        path = raw[at:end]
        at = start + ((end - start + 8) & ~7)  # 1 to 8 zeros, to a multiple of 8
    return IndexEntry(start, mode, oid, path, size, odd), at


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    byte = raw[at]
    at += 1
    value = byte & 0x7F
    while byte & 0x80:
        byte = raw[at]
        at += 1
        value = ((value + 1) << 7) | (byte & 0x7F)
    return value, at


def with_stats(index: Index, stats: bytes | memoryview) -> bytes:
    """Return the index's bytes with the stat data of all entries replaced, ``STAT_BYTES`` each, in their order."""
    if len(stats) != STAT_BYTES * len(index.entries):
        raise ValueError("not one stat for each entry")
    length = hashlib.new(index.hash_name, usedforsecurity=False).digest_size
    parts: list[bytes | memoryview] = [b""] * (2 * len(index.entries))
    parts[0::2] = [stats[at : at + STAT_BYTES] for at in range(0, len(stats), STAT_BYTES)]
    parts[1::2] = index.between
    filled = b"".join((index.raw[: _HEAD.size], *parts))
    hashed = any(index.raw[-length:])  # zeros: index.skipHash
    return filled + (hashlib.new(index.hash_name, filled, usedforsecurity=False).digest() if hashed else bytes(length))


def bytes_needed(entries: Sequence[IndexEntry], raw_size: int = 0) -> int:
    """Return how much disk a checkout of these entries takes, by the sizes that the index knows, in blocks of 4 KiB."""
    return raw_size + sum((entry.size + 4095) // 4096 * 4096 for entry in entries if not entry.odd)
