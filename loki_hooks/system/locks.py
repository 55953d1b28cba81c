"""Kernel locks: who holds one has a value that proves it, and there is no other way to go on.

A lock is flock(2) on a file: the kernel ends it with its process, however that ends; the file that stays means
nothing. ``hold`` raises when the lock is not free in time. ``try_hold`` returns None then, which a type checker does
not let anybody overlook.

    <common>/loki/reconcile.lock    the lock of passes: {"pid", "started", "since"} while it is held

Whoever moves a branch or removes a worktree takes a ``PassLock`` as a parameter. Its file says who has it, for people
who wait; that is believed only of a process that lives.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from loki_hooks.errors import LokiError
from loki_hooks.system.files import refuse_link
from loki_hooks.system.json import read_json

if TYPE_CHECKING:
    from loki_hooks.domain.streams.record import ProcessId
    from loki_hooks.system.site import Site

RECONCILE_LOCK = "reconcile.lock"
PASS_PATIENCE = 60.0
"""Seconds that a command waits for another's pass to end."""


class BusyError(LokiError):
    """Others are at it, for longer than the caller has time."""


class Held:
    """The proof that a lock is held: until ``release``, or the end of the ``with`` that it is used in."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle

    def release(self) -> None:
        """Let go of the lock. Safe to be called again."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()


class PassLock(Held):
    """The proof that no pass runs but ours: what moves a branch or removes a worktree cannot be called without it."""

    def __init__(self, path: Path, handle: int) -> None:
        super().__init__(path, handle)
        from loki_hooks.system.clock import now
        from loki_hooks.system.processes.alive import myself

        said = json.dumps({**myself().to_json(), "since": now()}).encode()
        with contextlib.suppress(OSError):  # a full disk: then nobody is told who has it
            os.pwrite(handle, said, 0)
            os.ftruncate(handle, len(said))

    def require(self, site: Site) -> None:
        """Raise ``RuntimeError``, a bug of ours, unless this is the lock of the site's passes and is still held."""
        if self._handle < 0 or self.path != site.private / RECONCILE_LOCK:
            raise RuntimeError(f"the lock of passes of {site.root} is not held")

    def release(self) -> None:
        if self._handle >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, 0)
        super().release()


def hold(path: Path, timeout: float | None = None) -> Held:
    """Return the lock ``path``, waiting at most ``timeout`` seconds for it (None: for ever). Raises ``BusyError``."""
    lock = try_hold(path, timeout)
    if lock is None:
        raise BusyError(f"another process still holds {path} after {timeout:g} s", "try again")
    return lock


def try_hold(path: Path, timeout: float | None = 0.0) -> Held | None:
    """Return the lock ``path``, or None when it was not free within ``timeout`` seconds (0: ask once)."""
    handle = _taken(path, timeout)
    return None if handle is None else Held(path, handle)


def hold_pass(site: Site, timeout: float = PASS_PATIENCE) -> PassLock:
    """Return the lock of passes. Raises ``BusyError``, which names who has it, after ``timeout`` seconds."""
    lock = try_hold_pass(site, timeout)
    if lock is None:
        raise busy_pass(site, timeout)
    return lock


def try_hold_pass(site: Site, timeout: float = 0.0) -> PassLock | None:
    """Return the lock of passes, or None when it was not free within ``timeout`` seconds."""
    path = site.private / RECONCILE_LOCK
    handle = _taken(path, timeout)
    return None if handle is None else PassLock(path, handle)


@dataclass(frozen=True)
class Holder:
    """A process that has the lock of passes. ``since``: UTC ISO 8601; ``suspended``: it was stopped, and does not go on."""

    process: ProcessId
    since: str
    suspended: bool

    def __str__(self) -> str:
        since = f", since {self.since[:19]}Z" if self.since else ""
        return f"pid {self.process.pid}{since}{', suspended' if self.suspended else ''}"


def holder_of_pass(site: Site) -> Holder | None:
    """Return who has the lock of passes, None when nobody has it or it cannot be told.

    It only reads: to try the lock would keep it, for a moment, from a pass that asks just once.
    """
    from loki_hooks.domain.streams.record import ProcessId
    from loki_hooks.system.processes.alive import is_alive, is_suspended

    path = site.private / RECONCILE_LOCK
    value = read_json(path, 4096)
    process = ProcessId.from_json(value)
    since = value.get("since") if isinstance(value, dict) else ""
    if process is None or not is_alive(process):  # suspended between taking it and saying so, perhaps
        process, since = _locked_by(path), ""
    if process is None:
        return None
    return Holder(process, since if isinstance(since, str) else "", is_suspended(process))


def _locked_by(path: Path) -> ProcessId | None:
    """Return who has the kernel's lock on a file (proc(5), ``/proc/locks``), None where nobody has, or nothing tells it."""
    from loki_hooks.system.processes.alive import identify

    try:
        node = str(path.stat().st_ino)
        table = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    words = (line.split() for line in table)
    pids = (w[4] for w in words if w[1:2] == ["FLOCK"] and w[5].rpartition(":")[2] == node and w[4].isdigit())
    return next((identify(int(pid)) for pid in pids if _has_open(pid, path)), None)


def _has_open(pid: str, path: Path) -> bool:
    """Whether the process has the file open: of another file system's a file may have the same number."""
    with contextlib.suppress(OSError):
        return any(path.samefile(entry.path) for entry in os.scandir(f"/proc/{pid}/fd"))
    return False


def busy_pass(site: Site, waited: float) -> BusyError:
    """Return what to raise, or to say, when the lock of passes was not free within ``waited`` seconds."""
    holder = holder_of_pass(site)
    who = f" ({holder})" if holder else ""
    hint = "try again"
    if holder is not None and holder.suspended:
        hint = f"`kill -CONT {holder.process.pid}` lets it go on, `kill {holder.process.pid}` ends it"
    return BusyError(f"another loki-hooks pass is still running after {waited:.0f} s{who}", hint)


def _taken(path: Path, timeout: float | None) -> int | None:
    """Return a descriptor that has the lock, None when it was not free in time. Raises ``LokiError`` without a file."""
    refuse_link(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise LokiError(f"cannot open the lock {path}: {error.strerror or error}") from error
    try:
        got = _acquire(handle, timeout)
    except BaseException:
        os.close(handle)
        raise
    if not got:
        os.close(handle)
        return None
    return handle


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
