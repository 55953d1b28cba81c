"""A session's log: what its agent printed, each line after the local time at which it began (``HH:MM:SS``).

The bytes are the agent's own; only the time is ours. The date is in the events, and in the name of nothing: a run's log
is a file of its own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import time
from pathlib import Path
from socket import socket
from typing import IO, TYPE_CHECKING, BinaryIO

from loki_hooks.system.files import open_plain

if TYPE_CHECKING:
    from loki_hooks.system.processes.terminal import Terminal

CHUNK = 1 << 16


class Pump:
    """Copies what a child prints into the log, line by line stamped. Nothing waits for the log.

    It comes through a pipe, or from ``terminal``, whose viewer sees it, too: there the carriage return that a terminal
    puts before each line feed is left out of the log.
    """

    def __init__(self, pipe: IO[bytes] | None, sink: BinaryIO, terminal: Terminal | None = None) -> None:
        assert (pipe is None) != (terminal is None)
        self._from = pipe.fileno() if pipe is not None else terminal.master if terminal is not None else -1
        self._sink = sink
        self._terminal = terminal
        self._held_back = b""
        self._at_start = True
        self.open = True
        os.set_blocking(self._from, False)

    def wait(self, seconds: float) -> None:
        """Wait at most so long for output, and copy what there is."""
        others = self._terminal.readable() if self._terminal is not None else []
        if not self.open and not others:
            time.sleep(seconds)
            return
        with contextlib.suppress(InterruptedError):
            ends: list[int | socket] = [*([self._from] if self.open else []), *others]
            ready = select.select(ends, [], [], seconds)[0]
            if self._from in ready:
                self._copy()
            if self._terminal is not None:
                self._terminal.serve(ready)

    def drain(self) -> None:
        """Copy what is left; somebody may still hold the pipe's other end, and is not waited for."""
        while self.open and select.select([self._from], [], [], 0)[0]:
            self._copy()
        self._write(self._held_back)
        self._held_back = b""

    def _copy(self) -> None:
        try:
            chunk = os.read(self._from, CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            chunk = b""  # how Linux says that nobody has the terminal open any more
        if not chunk:
            self.open = False
            return
        if self._terminal is not None:
            self._terminal.show(chunk)
            chunk = self._held_back + chunk
            self._held_back = b"\r" if chunk.endswith(b"\r") else b""
            chunk = chunk[: len(chunk) - len(self._held_back)].replace(b"\r\n", b"\n")
        self._write(chunk)

    def _write(self, chunk: bytes) -> None:
        if not chunk:
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
    handle = open_plain(path)
    if handle is None:
        return ""
    try:
        os.lseek(handle, max(0, os.fstat(handle).st_size - size), os.SEEK_SET)
        return os.read(handle, size).decode("utf-8", "replace")
    finally:
        os.close(handle)
