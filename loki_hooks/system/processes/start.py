"""Start processes: as children that are watched, as detached ones that are not, and so that they begin only when told to."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from loki_hooks.errors import LokiError
from loki_hooks.system.files import open_log

if TYPE_CHECKING:
    import socket


Child = subprocess.Popen[bytes]


TimeoutExpired = subprocess.TimeoutExpired
"""What waiting for a child with a timeout raises."""


@dataclass
class KeptChild:
    """A program below its keeper (`keeper.py`), which is our child. ``code``: how it ended, None: not known yet."""

    child: Child
    program: str
    line: socket.socket
    code: int | None = None

    def ended(self, wait: float = 0.0) -> bool:
        """Return whether the program has ended (or its keeper was killed), within ``wait`` seconds.

        Raises ``LokiError`` when it cannot be started.
        """
        import select

        while self.code is None and select.select([self.line], [], [], wait)[0]:
            said = b""
            with contextlib.suppress(OSError):
                said = self.line.recv(256)
            for told in said.decode("ascii").split():
                if told.startswith("e"):
                    raise LokiError(f"cannot start {self.program}: {os.strerror(int(told[1:]))}")
                self.code = int(told[1:])
            if not said:
                self.code = -signal.SIGKILL
        return self.code is not None

    def let_go(self, *, stay: bool = False) -> int:
        """Have the keeper end, unless it is to ``stay``; return how the program ended. May raise as ``ended`` does."""
        try:
            self.ended(_TOLD_WITHIN)
        finally:
            if not stay:
                with contextlib.suppress(OSError):
                    self.line.send(b"q")
                try:
                    self.child.wait(_TOLD_WITHIN)
                except subprocess.TimeoutExpired:
                    self.child.kill()
                    self.child.wait()
            elif self.child.poll() is None:
                self.child.returncode = 0  # nobody waits for it: silences Popen's ResourceWarning
            self.line.close()
        return -signal.SIGKILL if self.code is None else self.code


def start_kept(argv: Sequence[str], *, cwd: Path | str, env: Mapping[str, str]) -> KeptChild:
    """Start ``argv`` below a keeper that adopts what it leaves behind, in a session of its own.

    stdin is empty, stdout and stderr are a pipe. Raises ``LokiError`` when the keeper cannot be started.
    """
    import socket

    ours, its = socket.socketpair()
    keeper = Path(os.path.realpath(__file__)).with_name("keeper.py")
    try:
        child = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-S",
                "-X",
                "utf8",
                str(keeper),
                str(its.fileno()),
                env.get("LC_CTYPE", ""),
                "--",
                *argv,
            ],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(its.fileno(),),
        )
    except OSError as error:
        ours.close()
        raise LokiError(f"cannot start {argv[0]}: {error.strerror or error}") from error
    finally:
        its.close()
    return KeptChild(child, argv[0], ours)


@dataclass(frozen=True)
class Waiting:
    """A child that is there, with its pid and in a session of its own, but has not begun yet (`launch.py`)."""

    child: Child
    program: str
    line: socket.socket

    def go(self) -> None:
        """Let it begin. Raises ``LokiError`` when its program cannot be started."""
        try:
            self.line.sendall(b"g")
            told = self.line.recv(16)
        except OSError:  # it was killed meanwhile: its exit status tells
            told = b""
        finally:
            self.line.close()
        if told.isdigit():
            raise LokiError(f"cannot start {self.program}: {os.strerror(int(told))}")


def start_waiting(
    argv: Sequence[str], *, cwd: Path | str, env: Mapping[str, str], terminal: int | None = None
) -> Waiting:
    """Start a child that leads a process group of its own and becomes ``argv`` when it is told to; it ends if we do.

    ``terminal``: the side of a pty that is to be its terminal. Without one stdin is empty, stdout and stderr are a pipe.
    """
    import socket

    ours, its = socket.socketpair()
    launcher = Path(os.path.realpath(__file__)).with_name("launch.py")
    words = [str(its.fileno()), "0" if terminal is None else "1", env.get("LC_CTYPE", ""), "--", *argv]
    try:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-X", "utf8", str(launcher), *words],  # utf8: any bytes come through
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL if terminal is None else terminal,
            stdout=subprocess.PIPE if terminal is None else terminal,
            stderr=subprocess.STDOUT if terminal is None else terminal,
            start_new_session=True,
            pass_fds=(its.fileno(),),
        )
    except OSError as error:
        ours.close()
        raise LokiError(f"cannot start {argv[0]}: {error.strerror or error}") from error
    finally:
        its.close()
    return Waiting(child, argv[0], ours)


def start_piped(
    argv: Sequence[str], *, cwd: Path | str, env: Mapping[str, str], stdin: IO[bytes], output: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Start ``argv`` as a child that reads ``stdin``; stdout goes to ``output``, or a pipe for the next one to read.

    stderr is a pipe where stdout goes to ``output``, else dropped. Raises ``LokiError`` when it cannot be started.
    """
    try:
        return subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=dict(env),
            stdin=stdin,
            stdout=subprocess.PIPE if output is None else output,
            stderr=subprocess.DEVNULL if output is None else subprocess.PIPE,
        )
    except OSError as error:
        raise LokiError(f"cannot start {argv[0]}: {error.strerror or error}") from error


def start_attached(argv: Sequence[str], *, cwd: Path | str, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start ``argv`` as a child with our own terminal, input and output. Raises ``LokiError`` when it cannot be."""
    try:
        return subprocess.Popen(list(argv), cwd=cwd, env=dict(env))
    except OSError as error:
        raise LokiError(
            f"cannot start {argv[0]}: {error.strerror or error}",
            "the command after `--` is a program and its arguments",
        ) from error


def start_detached(argv: Sequence[str], *, cwd: Path | str, env: Mapping[str, str], output: Path | None = None) -> int:
    """Start ``argv`` in a session of its own, holding none of our descriptors, and return its pid.

    git, pre-commit and prek wait for every holder of descriptors 0 to 2; so none may be inherited.
    ``output`` (appended to) receives stdout and stderr; without it they are dropped. It is not waited for: whoever lives
    longer (a session's runner has a pass made every so often) has each that ended leave with the next one's start.
    """
    _detached[:] = [pid for pid in _detached if not _left(pid)]
    with contextlib.ExitStack() as stack:
        sink: int = subprocess.DEVNULL
        if output is not None:
            sink = stack.enter_context(open_log(output)).fileno()
        child = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            close_fds=True,
        )
    child.returncode = 0  # nobody waits for it: silences Popen's ResourceWarning
    _detached.append(child.pid)
    return child.pid


_detached: list[int] = []
"""Children of ours that nobody waits for: once they have ended they would stay as zombies for as long as we live."""


def _left(pid: int) -> bool:
    """Return whether our child has ended, and have it go."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


_TOLD_WITHIN = 5.0
"""Seconds that a keeper has to say how its program ended, and to end."""


def has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Return whether our child has ended, without waiting for (reaping) it: its pid stays its own until that is done."""
    if child.returncode is not None:
        return True
    try:
        return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
