"""Whether a process is alive, and that it is the one that is meant: a pid is never trusted without its start time."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.system.processes.detach import start_time

if TYPE_CHECKING:
    from loki_hooks.domain.streams.record import ProcessId


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
