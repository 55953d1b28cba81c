"""Run a command while holding a named lease, as if it had been typed: its terminal, its exit status."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.domain.gates.results import command_text
from loki_hooks.system.processes.alive import identify
from loki_hooks.system.processes.run import scrubbed
from loki_hooks.system.processes.start import Child, TimeoutExpired, start_attached
from loki_hooks.system.store.named_locks import NamedLockHolder, lock_name, named_lock

if TYPE_CHECKING:
    from types import FrameType

    from loki_hooks.system.site import Site

GRACE = 10.0
"""Seconds that a command has to end after it was told to, before it is killed."""


class _ToldToEndError(BaseException):
    """SIGTERM or SIGHUP came: the command is ended, then we are."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run_locked(
    site: Site, name: str, argv: Sequence[str], *, timeout: float | None, waiting: Callable[[NamedLockHolder], None]
) -> int:
    """Run ``argv`` in the current folder under the lease; return its exit status (128 and the signal that ended it).

    Raises ``LokiError`` when the lease was not got in time, or the command cannot be started, and ``KeyboardInterrupt``
    after the command, which was told the same, has ended.
    """
    what = command_text(tuple(argv))
    with _told(), named_lock(site, lock_name(name), what, timeout=timeout, waiting=waiting) as running:
        child = start_attached(argv, cwd=Path.cwd(), env=scrubbed())
        try:
            running(identify(child.pid))
            child.wait()
        except KeyboardInterrupt:
            _end(child, signal.SIGINT)
            raise
        except _ToldToEndError as told:
            _end(child, told.number)
            return 128 + told.number
        except BaseException:
            _end(child, signal.SIGTERM)
            raise
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _end(child: Child, number: int) -> None:
    """Tell the command to end (on a terminal it has heard the same already), wait, and kill it when it does not."""
    with suppress(ProcessLookupError):
        child.send_signal(number)
    while child.poll() is None:
        try:
            child.wait(GRACE)
        except TimeoutExpired:
            child.kill()
        except KeyboardInterrupt:  # again: at once
            child.kill()


class _told:  # noqa: N801  used as a function
    """Have SIGTERM and SIGHUP raise, in the main thread, while inside."""

    def __enter__(self) -> None:
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP):
                self._before[number] = signal.signal(number, self._raise)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @staticmethod
    def _raise(number: int, _frame: FrameType | None) -> None:
        raise _ToldToEndError(number)
