"""A terminal of its own for an agent, that people can attach to: a pty whose other end is its runner's.

The runner reads what the agent prints there (into the log, first of all) and hands it on, raw, to one viewer: a process
in a tmux pane, which sends back what is typed and how large the pane is. They meet at a socket in a folder that only
this user may enter and that is gone as soon as they have met. The viewer may go at any time; the agent does not notice.

From the viewer: ``i`` (what was typed) or ``w`` (rows and columns, two bytes each), two bytes of length, then the bytes.
From the runner: what the agent prints, as it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import signal
import socket
import struct
import tempfile
import termios
import tty
from collections.abc import Collection
from pathlib import Path
from types import FrameType

ROWS, COLUMNS = 24, 80
HISTORY = 1 << 16
"""Bytes that a viewer gets of what was printed before it came."""
_BEHIND = 1 << 20
"""A viewer that is so many bytes behind is let go: nothing waits for it."""
_CHUNK = 1 << 14
_SHORT = 70
"""Characters: a socket's path may have about a hundred (unix(7))."""
_HEAD = struct.Struct(">cH")
_SIZE = struct.Struct(">HH")


class Terminal:
    """The pty and its viewer, as the runner has them. ``agent_side`` is closed once the agent has it."""

    def __init__(self) -> None:
        self.master, self.agent_side = os.openpty()
        os.set_blocking(self.master, False)
        self._resize(ROWS, COLUMNS)
        short = None if len(tempfile.gettempdir()) <= _SHORT else "/tmp"  # noqa: S108  the folder in it is ours alone
        self._folder = tempfile.mkdtemp(prefix="loki-view-", dir=short)
        self.address = str(Path(self._folder, "s"))
        self._listener: socket.socket | None = socket.socket(socket.AF_UNIX)
        self._viewer: socket.socket | None = None
        self._unsent = b""  # before there is a viewer: the history
        self._received = b""
        self._typed = b""
        try:
            self._listener.bind(self.address)
            self._listener.listen(1)
            self._listener.setblocking(False)
        except OSError:
            self.close()
            raise

    def readable(self) -> list[socket.socket]:
        """Return what to wait for beside the agent's output."""
        return [end for end in (self._listener, self._viewer) if end is not None]

    def handed_over(self) -> None:
        """The agent has its side: only its end closes that now."""
        if self.agent_side >= 0:
            os.close(self.agent_side)
            self.agent_side = -1

    def show(self, chunk: bytes) -> None:
        """Hand on what the agent printed."""
        self._unsent += chunk
        if self._viewer is None:
            self._unsent = self._unsent[-HISTORY:]
        elif len(self._unsent) > _BEHIND:
            self._let_go()
        self.serve()

    def serve(self, ready: Collection[object] = ()) -> None:
        """Do what can be done without waiting; ``ready`` are those of ``readable`` that have something."""
        if self._listener is not None and self._listener in ready:
            with contextlib.suppress(OSError):
                self._viewer, _ = self._listener.accept()
                self._viewer.setblocking(False)
                self._stop_listening()
        elif self._viewer is not None and self._viewer in ready:
            self._receive(self._viewer)
        if self._typed:
            with contextlib.suppress(OSError):  # an agent that reads nothing, or has ended
                self._typed = self._typed[os.write(self.master, self._typed[:_CHUNK]) :]
        if self._viewer is not None and self._unsent:
            try:
                self._unsent = self._unsent[self._viewer.send(self._unsent[:_CHUNK]) :]
            except BlockingIOError:
                pass
            except OSError:
                self._let_go()

    def close(self) -> None:
        """Show the viewer what it has not seen yet, and end it."""
        self.handed_over()
        self._stop_listening()
        if self._viewer is not None:
            with contextlib.suppress(OSError):
                self._viewer.settimeout(1)
                self._viewer.sendall(self._unsent)
        self._let_go()
        os.close(self.master)

    def _receive(self, viewer: socket.socket) -> None:
        try:
            chunk = viewer.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._let_go()
            return
        self._received += chunk
        while len(self._received) >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self._received)
            body = self._received[_HEAD.size : _HEAD.size + length]
            if len(body) < length:
                return
            self._received = self._received[_HEAD.size + length :]
            if kind == b"i":
                self._typed = (self._typed + body)[-_BEHIND:]
            elif kind == b"w" and length == _SIZE.size:
                self._resize(*_SIZE.unpack(body))

    def _resize(self, rows: int, columns: int) -> None:
        with contextlib.suppress(OSError):
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            shutil.rmtree(self._folder, ignore_errors=True)

    def _let_go(self) -> None:
        if self._viewer is not None:
            self._viewer.close()
            self._viewer = None
        self._unsent = b""


def view(address: str) -> None:
    """Show the session at ``address`` in our own terminal, and send what is typed here, until the session ends."""
    line = socket.socket(socket.AF_UNIX)
    line.connect(address)
    before = termios.tcgetattr(0)
    size_changed, tell = os.pipe()
    os.set_blocking(tell, False)

    def changed(_number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(OSError):
            os.write(tell, b"w")

    signal.signal(signal.SIGWINCH, changed)
    try:
        tty.setraw(0)
        _send_size(line)
        _relay(line, size_changed)
    except OSError:
        return  # the session, or our terminal, is gone
    finally:
        with contextlib.suppress(termios.error, OSError):
            termios.tcsetattr(0, termios.TCSANOW, before)


def _relay(line: socket.socket, size_changed: int) -> None:
    while True:
        ends: list[int | socket.socket] = [0, line, size_changed]
        ready, _, _ = select.select(ends, [], [])
        if size_changed in ready:
            os.read(size_changed, 64)
            _send_size(line)
        if 0 in ready:
            typed = os.read(0, _CHUNK)
            if not typed:
                return
            line.sendall(_HEAD.pack(b"i", len(typed)) + typed)
        if line in ready:
            shown = line.recv(_CHUNK)
            if not shown:
                return
            while shown:
                shown = shown[os.write(1, shown) :]


def _send_size(line: socket.socket) -> None:
    size = os.get_terminal_size(0)
    body = _SIZE.pack(size.lines, size.columns)
    line.sendall(_HEAD.pack(b"w", len(body)) + body)
