"""Processes: the one place that starts them, and the proof that one is alive.

A pid is never trusted without its start time (a pid is reused).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from loki_hooks.errors import LokiError
from loki_hooks.system.files import open_log
from loki_hooks.system.git_env import GIT_LOCAL_ENV as GIT_LOCAL_ENV
from loki_hooks.system.processes.detach import start_time

if TYPE_CHECKING:
    import socket

    from loki_hooks.domain.streams.record import ProcessId

Child = subprocess.Popen[bytes]
SESSION_MARK = "LOKI_SESSION"
"""In the environment of everything that a session's agent starts (`session_tree`)."""


TimeoutExpired = subprocess.TimeoutExpired
"""What waiting for a child with a timeout raises."""


def scrubbed(env: Mapping[str, str] | None = None, **more: str) -> dict[str, str]:
    """Return ``env`` (default: ours) without what git exports into hooks, and no session's mark, plus ``more``.

    Left in, a child's `git init` would write into the user's repository (githooks(5), "Environment").
    """
    base = dict(os.environ if env is None else env)
    for name in (*GIT_LOCAL_ENV, SESSION_MARK):
        base.pop(name, None)
    base.update(more)
    return base


@dataclass(frozen=True)
class Completed:
    """How a process ended. ``stdout`` and ``stderr`` are bytes; ``timed_out`` means that we killed it."""

    returncode: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8", "surrogateescape")

    @property
    def error_text(self) -> str:
        """What stands in messages, events and reasons, so without a URL's credentials."""
        from loki_hooks.domain.secrets import without_credentials

        return without_credentials(self.stderr.decode("utf-8", "replace"))


def run(
    argv: Sequence[str],
    *,
    cwd: Path | str,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    timeout: float | None = None,
) -> Completed:
    """Run ``argv`` to its end and return how it ended; the caller judges the exit status.

    ``timeout`` (seconds) kills the process's whole group. Raises ``LokiError`` when the program cannot be started.
    """
    try:
        child = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=scrubbed() if env is None else dict(env),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=timeout is not None,
        )
    except OSError as error:
        raise LokiError(f"cannot start {argv[0]}: {error.strerror or error}") from error
    try:
        out, err = child.communicate(stdin, timeout)
    except subprocess.TimeoutExpired:
        kill_group(child.pid)
        out, err = child.communicate()
        return Completed(child.returncode, out, err, timed_out=True)
    except BaseException:
        if timeout is not None:
            kill_group(child.pid)
        child.kill()
        child.wait()
        raise
    return Completed(child.returncode, out, err)


@dataclass
class Kept:
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


_TOLD_WITHIN = 5.0
"""Seconds that a keeper has to say how its program ended, and to end."""


def start_kept(argv: Sequence[str], *, cwd: Path | str, env: Mapping[str, str]) -> Kept:
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
    return Kept(child, argv[0], ours)


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


def worker_argv(*words: str) -> list[str]:
    """Return the argument vector that runs ``words`` in a process of this same installation."""
    package = Path(os.path.realpath(__file__)).parents[2]
    return [sys.executable, "-P", str(package / "__main__.py"), *words]


def identify(pid: int) -> ProcessId | None:
    """Return the process's identity, or None when there is no such process."""
    from loki_hooks.domain.streams.record import ProcessId

    started = start_time(pid)
    return None if started is None else ProcessId(pid, started)


def myself() -> ProcessId:
    """Return this process's identity."""
    from loki_hooks.domain.streams.record import ProcessId

    return ProcessId(os.getpid(), start_time(os.getpid()) or "?")


def is_alive(process: ProcessId | None) -> bool:
    """Return whether exactly this process lives. None lives never."""
    return process is not None and start_time(process.pid) == process.started


def is_suspended(process: ProcessId) -> bool:
    """Return whether the process was stopped (Ctrl-Z, a debugger) and does nothing until somebody lets it go on."""
    import psutil

    try:
        return psutil.Process(process.pid).status() in {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP}
    except psutil.Error:
        return False


def has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Return whether our child has ended, without waiting for (reaping) it: its pid stays its own until that is done."""
    if child.returncode is not None:
        return True
    try:
        return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def wait_until_gone(processes: Iterable[ProcessId], timeout: float) -> bool:
    """Wait at most ``timeout`` seconds until all have ended; return whether they have."""
    deadline = time.monotonic() + timeout
    pause = 0.005
    for process in processes:
        while is_alive(process):
            if time.monotonic() > deadline:
                return False
            time.sleep(pause)
            pause = min(pause * 1.5, 0.25)
    return True


def kill_group(pid: int) -> None:
    """Kill the process group led by ``pid``."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def ancestors_inside(folder: Path) -> tuple[int, ...]:
    """Return the pids of this process, and of those that started it, that work in ``folder``: the caller's own."""
    import psutil

    found = []
    for process in (psutil.Process(), *psutil.Process().parents()):
        with contextlib.suppress(psutil.Error, OSError):
            where = Path(process.cwd())
            if where == folder or folder in where.parents:
                found.append(process.pid)
    return tuple(found)
