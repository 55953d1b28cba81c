"""The whole state file: its streams, and every key that is somebody else's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from loki_hooks.domain.names import is_name
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import IN_SESSION, Status

STATE_VERSION = 1
SCHEMA = 2
"""Which fields there are (`state_version` counts writes). Schema 1 had ids in `pending_merges` and `active_streams`, and a
task as an object."""
UPSTREAM_VERSION = "loki-hooks"
"""`version` is a product string; an upstream value that is there already is kept."""


@dataclass(frozen=True)
class State:
    """The whole of ``orchestrator.json``: the streams as records, everything else as it was read."""

    streams: Mapping[str, StreamRecord] = field(default_factory=dict)
    foreign: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Return the state in ``value``. Entries of ``worktrees`` that are not ours stay in ``foreign``.

        Ours is an object under a stream's id, with names that ``validate_name`` accepts: they become paths.
        """
        if not isinstance(value, Mapping):
            return cls()
        worktrees = value.get("worktrees")
        streams: dict[str, StreamRecord] = {}
        strangers: dict[str, Any] = {}
        for key, entry in (worktrees if isinstance(worktrees, Mapping) else {}).items():
            record = StreamRecord.from_json(key, entry)
            if record is None or record.stream != key or not is_name(record.kind) or not is_name(record.name):
                strangers[key] = entry
            else:
                streams[key] = record
        foreign = {k: v for k, v in value.items() if k not in {"worktrees", "pending_merges", "active_streams"}}
        if strangers:
            foreign["worktrees"] = strangers
        return cls(streams, foreign)

    def to_json(self, *, now: str, version: int) -> dict[str, Any]:
        """Return the whole file's value, published as ``state_version`` ``version`` at time ``now``."""
        foreign = dict(self.foreign)
        strangers = foreign.pop("worktrees", {})
        head = {
            "version": foreign.pop("version", UPSTREAM_VERSION),
            "currentPhase": foreign.pop("currentPhase", "DEVELOPMENT"),
            "startedAt": foreign.pop("startedAt", now),
            "agents": foreign.pop("agents", {}),
            "metrics": foreign.pop("metrics", {}),
        }
        foreign.pop("state_version", None)
        schema = foreign.pop("schema", SCHEMA)
        return {
            **head,
            **foreign,
            "state_version": version,
            "schema": schema if type(schema) is int and schema > SCHEMA else SCHEMA,
            "worktrees": {**strangers, **{key: record.to_json() for key, record in self.streams.items()}},
            "pending_merges": sorted(
                r.branch for r in self.streams.values() if r.status in {Status.PASSED, Status.MERGING}
            ),
            "active_streams": sum(1 for r in self.streams.values() if r.status in IN_SESSION),
        }

    def with_stream(self, record: StreamRecord) -> Self:
        return replace(self, streams={**self.streams, record.stream: record})

    def without(self, stream: str) -> Self:
        return replace(self, streams={key: r for key, r in self.streams.items() if key != stream})

    def find(self, word: str) -> StreamRecord | None:
        """Return the stream that a person means by ``word``: its id, its name, its branch, in that order."""
        if word in self.streams:
            return self.streams[word]
        for match in (lambda r: r.name == word and r.kind == "feature", lambda r: word in {r.name, r.branch}):
            for record in self.streams.values():
                if match(record):
                    return record
        return None
