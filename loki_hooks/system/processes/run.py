"""Processes: the one place that starts them, and the proof that one is alive.

A pid is never trusted without its start time (a pid is reused).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loki_hooks.errors import InterruptedRunError, LokiError
from loki_hooks.system.git_env import GIT_LOCAL_ENV as GIT_LOCAL_ENV
from loki_hooks.system.processes.alive import kill_group

SESSION_MARK = "LOKI_SESSION"
"""In the environment of everything that a session's agent starts (`session_tree`)."""


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


_told = threading.local()
_LOOK, _GRACE = 0.2, 5.0


@contextlib.contextmanager
def stopped_by(stop: threading.Event | None) -> Iterator[None]:
    """Have what waits for others (``run(…, stoppable=True)``) end when ``stop`` is set, in this thread."""
    before = getattr(_told, "stop", None)
    _told.stop = stop
    try:
        yield
    finally:
        _told.stop = before


def run(
    argv: Sequence[str],
    *,
    cwd: Path | str,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    timeout: float | None = None,
    stoppable: bool = False,
) -> Completed:
    """Run ``argv`` to its end and return how it ended; the caller judges the exit status.

    ``timeout`` (seconds) kills the process's whole group. Raises ``LokiError`` when the program cannot be started, and
    ``InterruptedRunError`` when it is ``stoppable`` and was stopped (``stopped_by``).
    """
    stop: threading.Event | None = getattr(_told, "stop", None) if stoppable else None
    try:
        child = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=scrubbed() if env is None else dict(env),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=timeout is not None or stop is not None,
        )
    except OSError as error:
        raise LokiError(f"cannot start {argv[0]}: {error.strerror or error}") from error
    try:
        out, err = _communicate(child, stdin, timeout, stop)
    except subprocess.TimeoutExpired:
        kill_group(child.pid)
        out, err = child.communicate()
        return Completed(child.returncode, out, err, timed_out=True)
    except BaseException:
        if timeout is not None or stop is not None:
            kill_group(child.pid)
        child.kill()
        child.wait()
        raise
    return Completed(child.returncode, out, err)


def _communicate(
    child: subprocess.Popen[bytes], stdin: bytes | None, timeout: float | None, stop: threading.Event | None
) -> tuple[bytes, bytes]:
    if stop is None:
        return child.communicate(stdin, timeout)
    deadline = time.monotonic() + (timeout if timeout is not None else float("inf"))
    while not stop.is_set():
        try:
            return child.communicate(stdin, _LOOK)
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                raise
    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
        os.killpg(child.pid, signal.SIGTERM)  # git takes back what it began
        child.communicate(timeout=_GRACE)
    raise InterruptedRunError("stopped")
