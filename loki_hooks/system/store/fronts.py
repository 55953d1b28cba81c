"""``<common>/loki/fronts``: the hook files of ours that git starts, a path a line. Light: each of our hooks looks."""

from __future__ import annotations

import os

_MARK = b"loki-hooks shim "
"""What each of them begins with, whichever version wrote it (`domain/install/chain.py`)."""


def note_fronts(common: str, paths: list[str]) -> None:
    """Keep which files they are."""
    path = f"{common}/loki/fronts"
    text = "".join(f"{os.fspath(name)}\n" for name in paths if "\n" not in name)
    made = f"{path}.{os.getpid()}.tmp"
    with open(made, "w", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123  pathlib is not light
        file.write(text)
    os.replace(made, path)  # noqa: PTH105


def displaced(common: str) -> bool:
    """Return whether one of them is not ours any more."""
    try:
        text = _start(f"{common}/loki/fronts", 1 << 16).decode("utf-8", "surrogateescape")
    except OSError:
        return False
    return any(not _is_ours(path) for path in text.splitlines())


def _is_ours(path: str) -> bool:
    try:
        return _MARK in _start(path, 512)
    except OSError:
        return False


def _start(path: str, limit: int) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(handle, limit)
    finally:
        os.close(handle)
