"""Named leases in ``.loki/state/locks/``, for what worktrees do not isolate: a database, a device.

Two files a name. ``.NAME.lock`` is a kernel lock (flock(2)), which ends with its process, however that ends.
``NAME.json`` says who holds it, for people, programs, and the one case that the kernel does not see: ``{"owner":
{"pid", "started"}, "command": {"pid", "started"} or null, "what", "worktree", "since"}``. Where an owner was killed
while its command goes on, the lease is still taken until the command ends. A file of a dead owner means nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loki_hooks.domain.names import flat, shown, validate_name
from loki_hooks.domain.streams.record import ProcessId
from loki_hooks.errors import BadInputError, RefusedError
from loki_hooks.system.clock import now
from loki_hooks.system.files import write_atomic
from loki_hooks.system.json import dump_json, read_json
from loki_hooks.system.locks import try_hold
from loki_hooks.system.processes.alive import is_alive, myself

if TYPE_CHECKING:
    from loki_hooks.system.site import Site

_PAUSE = 0.2


@dataclass(frozen=True)
class NamedLockHolder:
    """Who holds a lease, as its file says."""

    owner: ProcessId | None = None
    command: ProcessId | None = None
    what: str = ""
    worktree: str = ""
    since: str = ""

    @property
    def text(self) -> str:
        """The holder for people."""
        alive = self.owner if is_alive(self.owner) else self.command if is_alive(self.command) else None
        if alive is None:
            return "somebody"
        where = f" in {self.worktree}" if self.worktree else ""
        return f"process {alive.pid} ({shown(self.what)}){where}, since {self.since}"

    def to_json(self) -> dict[str, Any]:
        return {
            "owner": self.owner.to_json() if self.owner else None,
            "command": self.command.to_json() if self.command else None,
            "what": self.what,
            "worktree": self.worktree,
            "since": self.since,
        }

    @classmethod
    def from_json(cls, value: Any) -> NamedLockHolder:
        if not isinstance(value, dict):
            return cls()
        texts = {key: text if isinstance(text := value.get(key), str) else "" for key in ("what", "worktree", "since")}
        return cls(ProcessId.from_json(value.get("owner")), ProcessId.from_json(value.get("command")), **texts)


def lock_name(name: str) -> str:
    """Return ``name`` if a lease can be called so. Raises ``BadInputError``."""
    if "/" in name:
        raise BadInputError(f"{shown(name)} is not a name that a lock can have", "use letters, digits, . _ and -")
    return flat(validate_name(name))


@contextlib.contextmanager
def named_lock(
    site: Site, name: str, what: str, *, timeout: float | None, waiting: Callable[[NamedLockHolder], None]
) -> Iterator[Callable[[ProcessId | None], None]]:
    """Hold the lease while inside; yields what is told the command's process once it runs.

    ``waiting`` is told once for whom we wait. Raises ``RefusedError`` when it was not got within ``timeout`` seconds
    (None: waits for ever).
    """
    folder = site.folder("state", "locks")
    path = folder / f"{name}.json"
    deadline = None if timeout is None else time.monotonic() + timeout
    told = False
    while True:
        lock = try_hold(folder / f".{name}.lock", timeout=0 if not told else _left(deadline))
        with lock or contextlib.nullcontext():
            before = NamedLockHolder.from_json(read_json(path))
            if lock is not None and not is_alive(before.command):
                me = NamedLockHolder(myself(), None, what, str(site.here), now())
                _say(path, me, None)
                try:
                    yield partial(_say, path, me)
                finally:
                    with contextlib.suppress(OSError):
                        path.unlink()
                return
        if deadline is not None and time.monotonic() >= deadline:
            raise RefusedError(
                f"the lock {name} is held by {before.text}", f"it was waited for {timeout:g} s; --timeout waits longer"
            )
        if not told:
            waiting(before)
            told = True
        elif lock is not None:  # its owner is dead, its command is not
            time.sleep(_PAUSE)


def _say(path: Path, holder: NamedLockHolder, command: ProcessId | None) -> None:
    write_atomic(path, dump_json(replace(holder, command=command).to_json()))


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
