"""The whole state file: its streams, and every key that is somebody else's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
class EnteredPlan:
    """A plan that was entered: what is true when all of it is done, and its streams."""

    goal: str = ""
    streams: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, value: object) -> Self:
        goal, streams = (value.get("goal"), value.get("streams")) if isinstance(value, Mapping) else ("", ())
        listed = streams if isinstance(streams, list) else []
        return cls(goal if isinstance(goal, str) else "", tuple(s for s in listed if isinstance(s, str)))


@dataclass(frozen=True)
class State:
    """The whole of ``orchestrator.json``: the streams as records, the plans by source, everything else as it was read."""

    streams: Mapping[str, StreamRecord] = field(default_factory=dict)
    foreign: Mapping[str, Any] = field(default_factory=dict)
    plans: Mapping[str, EnteredPlan] = field(default_factory=dict)

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
        foreign = {
            k: v for k, v in value.items() if k not in {"worktrees", "pending_merges", "active_streams", "plans"}
        }
        if strangers:
            foreign["worktrees"] = strangers
        plans = value.get("plans")
        entered = {
            key: EnteredPlan.from_json(plan) for key, plan in (plans if isinstance(plans, Mapping) else {}).items()
        }
        return cls(streams, foreign, entered)

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
            **(
                {"plans": {key: {"goal": p.goal, "streams": list(p.streams)} for key, p in self.plans.items()}}
                if self.plans
                else {}
            ),
        }

    def with_stream(self, record: StreamRecord) -> Self:
        return replace(self, streams={**self.streams, record.stream: record})

    def with_plan(self, source: str, goal: str, streams: Iterable[str]) -> Self:
        """Return the state with the plan entered; what was of it before still is."""
        before = self.plans.get(source, EnteredPlan())
        entered = EnteredPlan(goal or before.goal, tuple(dict.fromkeys((*before.streams, *streams))))
        return replace(self, plans={**self.plans, source: entered})

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
