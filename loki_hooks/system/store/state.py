"""``state/orchestrator.json``: versioned optimistic reads and writes.

Readers take no lock. A writer computes its change from what it read, then, in a critical section of
microseconds, publishes it by rename only if the file's bytes are still those it read (upstream's writers
never bump our counter, so bytes are compared, not versions); else it waits with jitter and computes again.
After a few lost rounds it keeps the section while it computes, so everybody makes progress. The section is a
kernel lock (`locks.hold`), so a killed writer leaves the file as it was and no lock.

An unparsable file is read again for a moment (upstream truncates in place; once for each content, not at every
reading), then moved aside as ``orchestrator.json.corrupt-<time>`` and the state begins empty; reconcile rebuilds it
from `git worktree list`.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from loki_hooks.domain.streams.state import STATE_VERSION, State
from loki_hooks.errors import StateConflictError
from loki_hooks.system.clock import now, stamp
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.json import dump_json, parse_json
from loki_hooks.system.locks import hold
from loki_hooks.system.site import Site

_PATIENCE = 0.5
_OPTIMISTIC_ROUNDS = 4
_ROUNDS = 400


@dataclass(frozen=True)
class StateStore:
    """The state file of one site."""

    site: Site
    _given_up: set[bytes | None] = field(default_factory=set, init=False, repr=False, compare=False)
    """Contents that stayed unparsable for as long as we wait."""

    @property
    def path(self) -> Path:
        return self.site.loki / "state" / "orchestrator.json"

    def read(self) -> State:
        """Return the state as it is now; an absent or unreadable file is an empty state. Writes nothing."""
        return self._read()[1]

    def update(self, change: Callable[[State], State]) -> State:
        """Publish ``change`` of the newest state and return what was published.

        ``change`` must be pure: it runs again whenever somebody else was first. A change that changes
        nothing writes nothing. Raises ``StateConflictError`` when the file cannot be replaced.
        """
        self.site.folder("state")
        lock = self.path.parent / ".orchestrator.lock"
        for attempt in range(_ROUNDS):
            if attempt >= _OPTIMISTIC_ROUNDS:
                with hold(lock):
                    raw, before, version = self._read_versioned()
                    return self._publish(raw, before, change(before), version)
            raw, before, version = self._read_versioned()
            after = change(before)
            with hold(lock):
                if self._bytes() == raw:
                    return self._publish(raw, before, after, version)
            time.sleep(random.uniform(0.001, 0.02) * (attempt + 1))  # noqa: S311  jitter, not a secret
        raise StateConflictError(f"{self.path} keeps changing")  # pragma: no cover

    def _publish(self, raw: bytes | None, before: State, after: State, version: int) -> State:
        """Call with the lock, over what was read: only then is what is set aside what could not be read."""
        readable = isinstance(parse_json(raw), dict)
        if readable and after == before:
            return after
        if not readable and os.path.lexists(self.path):
            self._set_aside()
        write_atomic(self.path, dump_json(after.to_json(now=now(), version=version + 1)))
        return after

    def _bytes(self) -> bytes | None:
        return read_plain(self.path)

    def _read(self) -> tuple[bytes | None, State]:
        deadline = time.monotonic() + _PATIENCE
        while True:
            raw = self._bytes()
            value = parse_json(raw)
            if isinstance(value, dict):
                self._given_up.clear()
                return raw, State.from_json(value)
            if raw is None and not os.path.lexists(self.path):
                return None, State()
            if raw in self._given_up or time.monotonic() > deadline:
                self._given_up.add(raw)
                return raw, State()
            time.sleep(0.02)

    def _read_versioned(self) -> tuple[bytes | None, State, int]:
        raw, state = self._read()
        value = parse_json(raw)
        if not isinstance(value, dict):
            return raw, State(), STATE_VERSION - 1
        version = value.get("state_version")
        return raw, state, version if type(version) is int and version >= 0 else 0

    def _set_aside(self) -> None:
        """Keep what cannot be read, under a name that says so."""
        self._given_up.clear()
        with contextlib.suppress(FileNotFoundError):
            self.path.rename(self.path.with_name(f"{self.path.name}.corrupt-{stamp()}"))
