"""Files: whole ones written by temporary sibling and rename, and reads that nothing planted can harm.

Nothing below ``.loki/`` is followed through a symbolic link, no FIFO is opened, no file above a limit is
read: an agent can write there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from loki_hooks.errors import LokiError

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 100
_counter = 0


def write_atomic(path: Path, data: str | bytes, mode: int = 0o644) -> None:
    """Replace ``path`` by ``data``: readers see the old or the new whole, never a part. Creates its folder.

    Raises ``LokiError`` when it cannot be written (a folder stands there, no room, no permission).
    """
    global _counter  # noqa: PLW0603  two threads of one process need two names
    _counter += 1
    temporary = path.parent / f".{path.name[:80]}.{os.getpid()}.{_counter}.tmp"
    raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
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
    """Open a new file called ``path`` for writing; what had the name (a planted link, too) is unlinked, never followed.

    Raises ``LokiError`` when it cannot be made.
    """
    try:
        path.unlink(missing_ok=True)
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644), "wb")
    except OSError as error:
        raise LokiError(f"cannot write {path}: {error.strerror or error}") from error


def read_plain(path: Path, limit: int = MAX_BYTES) -> bytes | None:
    """Return the content of a regular file, or None when there is none.

    A symbolic link, FIFO, socket, folder, or a file larger than ``limit`` bytes is no regular file of ours: None.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
        os.close(handle)
        return None
    with os.fdopen(handle, "rb") as stream:
        data = stream.read(limit + 1)
    return data if len(data) <= limit else None


def parse_json(data: bytes | None) -> Any:
    """Return the value in ``data``, or None when it is no JSON.

    NaN, infinities (``1e999`` too) and nesting beyond ``MAX_DEPTH`` count as none: what was read can be written again.
    """
    if data is None:
        return None
    try:
        value = json.loads(data.decode("utf-8-sig"), parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return value if _is_shallow(value) else None


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _finite(word: str) -> float:
    number = float(word)
    if not math.isfinite(number):
        raise ValueError(f"{word} is beyond every float")
    return number


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return True
    return False


def read_json(path: Path, limit: int = MAX_BYTES) -> Any:
    """Return the JSON value in ``path``, or None when there is none that can be read (see ``read_plain``)."""
    return parse_json(read_plain(path, limit))


def dump_json(value: Any) -> str:
    """Return ``value`` as a JSON document that every encoding can carry.

    Characters are written as they are; where one is half of a surrogate pair (bytes of a path that are no UTF-8),
    all are escaped, else the file could not be read again.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False)
    return text + "\n"


@contextlib.contextmanager
def held(path: Path, timeout: float | None = None) -> Iterator[bool]:
    """Hold an exclusive lock named ``path`` while inside; yields whether it was got within ``timeout`` seconds.

    The kernel owns it (flock(2)): it ends with its process, however that ends; the empty file that stays
    means nothing. ``timeout`` None waits for ever, 0 tries once.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise LokiError(f"cannot open the lock {path}: {error.strerror or error}") from error
    try:
        yield _acquire(handle, timeout)
    finally:
        os.close(handle)


def _acquire(handle: int, timeout: float | None) -> bool:
    if timeout is None:
        fcntl.flock(handle, fcntl.LOCK_EX)
        return True
    deadline = time.monotonic() + timeout
    pause = 0.002
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise
        else:
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
