"""Files: whole ones written by temporary sibling and rename, and reads that nothing planted can harm.

Nothing below ``.loki/`` is followed through a symbolic link (``.loki`` itself and every folder in it included), no
FIFO is opened, no file above a limit is read: an agent can write there. What stands where a log should be is moved
aside, never written through. An agent runs as its user, so this guards against accidents and tricks, not against
that user.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from loki_hooks.errors import LokiError

MAX_BYTES = 16 * 1024 * 1024
_LOKI = ".loki"
_counter = 0


def write_atomic(path: Path, data: str | bytes, mode: int = 0o644) -> None:
    """Replace ``path`` by ``data``: readers see the old or the new whole, never a part. Creates its folder.

    Raises ``LokiError`` when it cannot be written (a folder stands there, no room, no permission, a link on the way).
    """
    refuse_link(path)
    global _counter  # noqa: PLW0603  two threads of one process need two names
    _counter += 1
    temporary = path.parent / f".{path.name[:80]}.{os.getpid()}.{_counter}.tmp"
    raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()  # a killed process of the same pid left it, or somebody planted it
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(raw)
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        raise LokiError(f"cannot write {path}: {error.strerror or error}") from error


def open_fresh(path: Path) -> BinaryIO:
    """Open a new log called ``path`` for writing; what had the name (a planted link, too) is unlinked, never followed.

    Readable by its owner only. Raises ``LokiError`` when it cannot be made.
    """
    refuse_link(path)
    try:
        _move_aside(path)
        path.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(path, flags, 0o600), "wb")
    except OSError as error:
        raise LokiError(f"cannot write {path}: {error.strerror or error}") from error


def read_plain(path: Path, limit: int = MAX_BYTES, start: int = 0) -> bytes | None:
    """Return the content of a regular file, from the byte ``start`` on, or None when there is none.

    A symbolic link, FIFO, socket, folder, or a file with more than ``limit`` bytes to read is no regular file of ours: None.
    """
    handle = open_plain(path)
    if handle is None:
        return None
    with os.fdopen(handle, "rb") as stream:
        if os.fstat(handle).st_size - start > limit:
            return None
        stream.seek(start)
        data = stream.read(limit + 1)
    return data if len(data) <= limit else None


def open_plain(path: Path) -> int | None:
    """Return a descriptor that reads a regular file, or None when there is none, or a link stands on the way to it."""
    if link_on_way(path.parent) is not None:
        return None
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    return None


def link_on_way(folder: Path) -> Path | None:
    """Return the symbolic link among ``folder`` and its parents up to the ``.loki`` it is in; None outside of any."""
    parts = folder.parts
    if _LOKI not in parts:
        return None
    first = len(parts) - parts[::-1].index(_LOKI)
    for count in range(first, len(parts) + 1):
        current = Path(*parts[:count])
        if current.is_symlink():
            return current
    return None


def refuse_link(path: Path) -> None:
    """Raise ``LokiError`` when writing ``path`` would leave its ``.loki`` through a link."""
    link = link_on_way(path.parent)
    if link is not None:
        raise LokiError(f"{link} is a link", "move it away: loki-hooks keeps its files there and follows no link")


def exists(path: Path) -> bool:
    """Whether something is there. What cannot be told (a folder that may not be read) counts as there."""
    return _is(path, Path.exists, unknown=True)


def is_file(path: Path) -> bool:
    """Whether a file is there for certain."""
    return _is(path, Path.is_file, unknown=False)


def _is(path: Path, look: Callable[[Path], bool], *, unknown: bool) -> bool:
    """Return what ``look`` says; pathlib raises for some paths (a name that is too long, say)."""
    try:
        return look(path)
    except OSError as error:
        return unknown and error.errno != errno.ENAMETOOLONG


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in ``folder``, by name; nothing when it is none, or a link stands on the way below ``.loki``."""
    if link_on_way(folder) is not None:
        return []
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError:
        return []


def open_log(path: Path) -> BinaryIO:
    """Open a log of ours to append to, readable by its owner only. Raises ``LokiError`` when that cannot be.

    What stands in its place and is no regular file (a link, a FIFO that would block, a folder) is moved aside first.
    """
    refuse_link(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _move_aside(path)
        handle = os.open(path, flags, 0o600)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise LokiError(f"{path} is not a file", "move it away")
    except OSError as error:
        raise LokiError(f"cannot write {path}: {error.strerror or error}") from error
    return os.fdopen(handle, "ab")


def _move_aside(path: Path) -> None:
    """Give what stands at ``path`` and is no regular file another name, in the same folder."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(path.lstat().st_mode):
            path.rename(path.with_name(f".{path.name[:80]}.{os.getpid()}-{time.time_ns()}.aside"))
