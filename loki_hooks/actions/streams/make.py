"""Make planned streams. The intent is written first: the next pass finishes a killed one, or takes it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from loki_hooks.actions.context import Context, body_of
from loki_hooks.actions.streams.plan import refuse_clash
from loki_hooks.actions.streams.worktree import make_worktrees
from loki_hooks.domain.refs import base_ref
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.signals import SignalName
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import Status
from loki_hooks.errors import LokiError
from loki_hooks.system.processes.alive import myself
from loki_hooks.system.store import events, signals, spawn_environment


@dataclass(frozen=True)
class Spawned:
    """What became of one name: ``status`` is ``running``, ``queued``, ``open`` (without launch) or ``failed``."""

    name: str
    stream: str
    branch: str = ""
    path: str = ""
    status: str = "failed"
    pid: int | None = None
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "stream": self.stream,
            "branch": self.branch,
            "path": self.path,
            "status": self.status,
            "pid": self.pid,
            "error": self.error or None,
        }


def make_streams(context: Context, records: Sequence[StreamRecord], *, launch: bool) -> list[Spawned]:
    """Make the planned streams' worktrees, together, and queue them."""
    me = myself()
    problems: dict[str, LokiError] = {}

    def plan(state: State) -> State:
        problems.clear()
        for record in records:
            try:
                refuse_clash(state, (), record.stream, record.name)
            except LokiError as error:
                problems[record.stream] = error
            else:
                state = state.with_stream(replace(record, claim=me, launch=launch))
        return state

    try:
        context.store.update(plan)
    except LokiError as error:
        problems = {record.stream: error for record in records}
    making = [record for record in records if record.stream not in problems]
    try:
        for record in making if launch else ():
            spawn_environment.keep(context.site, record.stream)
        failed = make_worktrees(context, making)
    except LokiError as error:  # before anything was made
        failed = {record.stream: error for record in making}
    made = [record for record in making if record.stream not in failed]
    for stream in failed:
        context.git.run("update-ref", "-d", base_ref(stream))
        spawn_environment.forget(context.site, stream)
    for record in made:
        for kind, subject in (
            ("TESTS_PASSED", record.name),
            ("TESTS_FAILED", record.name),
            ("FEATURE_READY", record.name),
            ("WORKTREE_FAILED", record.stream),
            ("MERGE_REQUESTED", record.stream),
        ):
            signals.clear(context.site, SignalName(kind, subject))  # what an earlier stream of the name left

    def settle(state: State) -> State:
        for stream in failed:
            state = state.without(stream)
        for record in made:
            current = state.streams.get(record.stream)
            if current is not None and current.status is Status.PLANNED:  # somebody may have called its session off
                status = Status.QUEUED if current.launch else Status.OPEN
                state = state.with_stream(current.moved(status, claim=None))
        return state

    settled = context.store.update(settle).streams
    now_is = {record.stream: settled[record.stream].status for record in made if record.stream in settled}
    for stream, problem in failed.items():
        events.record(context.site, "spawn-failed", stream, detail=problem.message)
    for record in made:
        _tell(context, record, launch=now_is.get(record.stream) is Status.QUEUED)
    problems |= failed
    return [
        Spawned(r.name, r.stream, r.branch, r.path, error=problems[r.stream].message)
        if r.stream in problems
        else Spawned(r.name, r.stream, r.branch, r.path, now_is.get(r.stream, Status.OPEN).value)
        for r in records
    ]


def _tell(context: Context, record: StreamRecord, *, launch: bool) -> None:
    events.record(
        context.site,
        "spawned",
        record.stream,
        commit=record.base,
        evidence={"path": record.path, "branch": record.branch, "launch": launch},
    )
    if launch:
        signals.emit(
            context.site,
            SignalName("SPAWN_QUEUED", record.stream),
            body_of(record, commit=record.base),
        )
