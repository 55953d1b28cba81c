"""A session's log: what its agent printed, each line after the local time at which it began (``HH:MM:SS``).

The bytes are the agent's own; only the time is ours. The date is in the events, and in the name of nothing: a run's log
is a file of its own.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
import time
from pathlib import Path
from typing import IO, BinaryIO

CHUNK = 1 << 16


class Pump:
    """Copies what a child prints from its pipe into the log, line by line stamped. Nothing waits for the log."""

    def __init__(self, pipe: IO[bytes], sink: BinaryIO) -> None:
        self._pipe = pipe
        self._sink = sink
        self._at_start = True
        self.open = True
        os.set_blocking(pipe.fileno(), False)

    def wait(self, seconds: float) -> None:
        """Wait at most so long for output, and copy what there is."""
        if not self.open:
            time.sleep(seconds)
            return
        with contextlib.suppress(InterruptedError):
            if select.select([self._pipe], [], [], seconds)[0]:
                self._copy()

    def drain(self) -> None:
        """Copy what is left; somebody may still hold the pipe's other end, and is not waited for."""
        while self.open and select.select([self._pipe], [], [], 0)[0]:
            self._copy()

    def _copy(self) -> None:
        try:
            chunk = os.read(self._pipe.fileno(), CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            self.open = False
            return
        with contextlib.suppress(OSError):  # a full disk costs the log, not the session
            self._sink.write(self.stamped(chunk, time.strftime("%H:%M:%S ").encode()))
            self._sink.flush()

    def stamped(self, chunk: bytes, stamp: bytes) -> bytes:
        """Return the chunk with ``stamp`` before each line that begins in it."""
        parts = []
        for line in _lines(chunk):
            parts.append(stamp + line if self._at_start else line)
            self._at_start = line.endswith(b"\n")
        return b"".join(parts)


def _lines(chunk: bytes) -> list[bytes]:
    """Split at line feeds only: a carriage return redraws a line, it does not begin one."""
    return [part + b"\n" for part in chunk.split(b"\n")[:-1]] + ([last] if (last := chunk.rsplit(b"\n", 1)[-1]) else [])


def tail(path: Path, size: int = 16_384) -> str:
    """Return the last ``size`` bytes of a log as text, '' when there is none. A link or a FIFO is no log."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            return ""
        os.lseek(handle, max(0, found.st_size - size), os.SEEK_SET)
        return os.read(handle, size).decode("utf-8", "replace")
    finally:
        os.close(handle)
