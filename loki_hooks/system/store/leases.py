"""Ports, leased to one worktree at a time: over all repositories of a user, until their owner ends.

``<user state folder>/loki-hooks/leases.json`` (mode 0600): ``{"version": 1, "ports": {PORT: {"owner": {"pid",
"started"}, "worktree"}}}``. Read and written under a kernel lock (flock(2)) beside it. An owner is a process: the
runner of a session or of a gate, which gives its leases back when it ends; a lease whose owner is dead is nobody's.
A port is leased only when nothing listens on it. A worktree gets the same ports again where they are free, so that
what an agent wrote down stays true.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loki_hooks.domain.streams.record import ProcessId
from loki_hooks.errors import LokiError
from loki_hooks.system.files import write_atomic
from loki_hooks.system.json import dump_json, read_json
from loki_hooks.system.locks import hold
from loki_hooks.system.processes.alive import is_alive, myself

VERSION = 1
FIRST, LAST = 20000, 29999
"""The range that ports are leased from: below what Linux and macOS give to outgoing connections."""


class NoPortsError(LokiError):
    """There are not as many free ports as were asked for."""


def leases_file() -> Path:
    import platformdirs

    return Path(platformdirs.user_state_dir("loki-hooks"), "leases.json")


@contextlib.contextmanager
def leased_ports(count: int, worktree: Path) -> Iterator[tuple[int, ...]]:
    """Hold ``count`` free ports for a worktree while this process is inside. Raises ``NoPortsError`` for too few."""
    if count <= 0:
        yield ()
        return
    owner = myself()
    ports = _take(count, worktree, owner)
    try:
        yield ports
    finally:
        _give_back(ports, owner)


def port_variables(ports: tuple[int, ...]) -> dict[str, str]:
    """Return what is exported: PORT, PORT_1, PORT_2, …"""
    return {"PORT" if number == 0 else f"PORT_{number}": str(port) for number, port in enumerate(ports)}


def _take(count: int, worktree: Path, owner: ProcessId) -> tuple[int, ...]:
    path = leases_file()
    with hold(path.with_name("leases.lock")):
        leases = _living(read_json(path))
        found: list[int] = []
        start = int.from_bytes(hashlib.sha256(str(worktree).encode("utf-8", "surrogateescape")).digest()[:4], "big")
        span = LAST - FIRST + 1
        for step in range(span):
            port = FIRST + (start + step) % span
            if str(port) not in leases and _is_free(port):
                found.append(port)
                leases[str(port)] = {"owner": owner.to_json(), "worktree": str(worktree)}
                if len(found) == count:
                    break
        else:
            raise NoPortsError(
                f"there are no {count} free ports between {FIRST} and {LAST}",
                f"see what holds them (`ss -ltn`) and {path}",
            )
        _write(path, leases)
    return tuple(found)


def _give_back(ports: tuple[int, ...], owner: ProcessId) -> None:
    path = leases_file()
    with hold(path.with_name("leases.lock")):
        before = _living(read_json(path))
        gone = {str(port) for port in ports}
        after = {
            port: lease
            for port, lease in before.items()
            if port not in gone or ProcessId.from_json(lease["owner"]) != owner
        }
        if after != before:
            with contextlib.suppress(LokiError):  # our end gives them back, too
                _write(path, after)


def _living(value: Any) -> dict[str, dict[str, Any]]:
    """Return the leases whose owner is alive; what is no lease of ours, or cannot be read, is none."""
    ports = value.get("ports") if isinstance(value, dict) else None
    return {
        port: lease
        for port, lease in (ports if isinstance(ports, dict) else {}).items()
        if isinstance(port, str) and isinstance(lease, dict) and is_alive(ProcessId.from_json(lease.get("owner")))
    }


def _write(path: Path, leases: dict[str, dict[str, Any]]) -> None:
    write_atomic(path, dump_json({"version": VERSION, "ports": leases}), 0o600)


def _is_free(port: int) -> bool:
    """Return whether nothing listens on the port, on any address of this machine."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, ""), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                if family == socket.AF_INET:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        except OSError as error:
            if family == socket.AF_INET6 and error.errno not in {errno.EADDRINUSE, errno.EACCES}:  # no IPv6 here
                continue
            return False
    return True
