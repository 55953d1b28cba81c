"""Spawn streams: check everything, then say what shall be (planned), make it, and let reconcile start it.

What is written first is the intent; so a spawn that is killed anywhere is finished, or taken back, by the next
pass. Nothing is made before every name, path, branch, agent and base was found good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from loki_hooks.actions.context import Context, body_of
from loki_hooks.actions.sessions.prompt import agent_argv, render_prompt, require_agent
from loki_hooks.actions.streams.start_commit import base_commit
from loki_hooks.actions.streams.worktree import base_ref, make_worktrees, require_trust
from loki_hooks.domain.names import flat, nearest, shown, stream_id, validate_name
from loki_hooks.domain.streams.record import State, StreamRecord, Task
from loki_hooks.domain.streams.signals import SignalName
from loki_hooks.domain.streams.stages import STAGES, is_order
from loki_hooks.domain.streams.status import IN_SESSION, Status
from loki_hooks.errors import BadInputError, LokiError, RefusedError
from loki_hooks.system.clock import now
from loki_hooks.system.git.git import list_worktrees
from loki_hooks.system.processes.run import is_alive, myself
from loki_hooks.system.store import events, signals, spawn_environment
from loki_hooks.system.worktrees.room import require_room

WAIT_FOR_PASS = 30.0


@dataclass(frozen=True)
class Request:
    """What was asked for. ``base`` and ``branch`` are revisions as typed, '' for the default."""

    names: tuple[str, ...]
    task: str = ""
    kind: str = "feature"
    agent: str = ""
    base: str = ""
    branch: str = ""
    after: tuple[str, ...] = ()
    priority: int = 0
    launch: bool = True
    tmux: bool = False
    stages: tuple[str, ...] = ()
    """Those of the task, () for those of its kind."""


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


def plan_spawn(context: Context, request: Request) -> tuple[StreamRecord, ...]:
    """Return the records of what would be made. Raises ``LokiError`` for the first thing that is wrong; makes nothing."""
    names = [validate_name(name) for name in request.names]
    if request.branch and len(names) > 1:
        raise BadInputError("--branch takes one name", "spawn them one by one")
    config = context.config.working
    agent = request.agent or config.session.launch(request.kind).agent
    if agent not in config.agents:
        near = nearest(agent, config.agents)
        raise BadInputError(
            f"there is no agent called {shown(agent)}",
            (f"did you mean {near}? " if near else "") + f"known are {', '.join(sorted(config.agents))}",
        )
    if "\0" in request.task:
        raise BadInputError("the task is binary", "a task is text")
    if request.stages and not is_order(request.stages):
        raise BadInputError(
            f"{shown(','.join(request.stages))} are no stages",
            f"some of {', '.join(STAGES)}, in this order, with commas between",
        )
    base = base_commit(context, request.base)
    state = context.store.read()
    after = tuple(context.require_stream(word).stream for word in request.after)
    worktrees = list_worktrees(context.git)
    heads = context.git.refs("refs/heads/")
    planned: list[StreamRecord] = []
    for name in names:
        stream = stream_id(request.kind, name)
        _refuse_clash(state, planned, stream, name)
        task = Task(id=flat(name), text=request.task, stages=request.stages)
        values = context.values(
            kind=request.kind, name=name, stream=stream, task_id=task.id, task=task.title, agent=agent
        )
        branch = request.branch or context.branch_for(request.kind, values, name)
        path = context.path_for(values)
        if branch == context.integration:
            raise RefusedError(f"{branch} is the integration branch", "a stream needs a branch of its own")
        exists = heads.get(f"refs/heads/{branch}")
        holder = next((w for w in worktrees if w.branch == branch), None)
        if holder is not None:
            raise RefusedError(
                f"the branch {branch} is checked out in {holder.path}", "switch that worktree to another branch first"
            )
        if request.branch and exists is None:
            raise BadInputError(f"there is no branch {shown(branch)}", "leave --branch out to make a new one")
        if exists and not request.branch:
            raise RefusedError(
                f"the branch {branch} exists already", f"use it with --branch {branch}, or take another name"
            )
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RefusedError(f"{path} exists already", "move it away, or change worktrees.path in loki-hooks.toml")
        if any(p.path == str(path) or p.branch == branch for p in planned):
            raise BadInputError(
                f"two of the streams would share {branch} or {path}", "change the templates, or the names"
            )
        start = (context.git.maybe("merge-base", exists, base) or exists) if request.branch and exists else base
        planned.append(
            StreamRecord(
                request.kind,
                name,
                Status.PLANNED,
                str(path),
                branch,
                base=start,
                task=task,
                agent=agent,
                priority=request.priority,
                after=after,
                created_at=now(),
                explicit_base=bool(request.base or request.branch),
                tmux=request.tmux,
            )
        )
    return tuple(planned)


def spawn(context: Context, request: Request, *, say: Callable[[str], None] = lambda _: None) -> list[Spawned]:
    """Make the streams and start what the cap allows. One that fails is reported and leaves nothing behind."""
    from loki_hooks.actions.landing import upstream

    if request.launch:
        require_trust(context)
    upstream.catch_up(context, say)
    planned = plan_spawn(context, request)
    if request.launch and planned:
        require_agent(context, planned[0])
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=1) as pool:  # in a large repository both take their time
        dirty = pool.submit(context.git.maybe, "status", "--porcelain", "--untracked-files=no")
        if planned:
            require_room(context.site, context.git, planned[0].base, [Path(record.path) for record in planned])
    if context.site.main is not None and dirty.result():
        say(
            f"{context.site.main} has uncommitted changes: the streams begin at the last commit, without them "
            "(commit or stash them to take them along)"
        )
    context.site.enable("spawn")
    made = make_streams(context, planned, launch=request.launch)
    if request.launch and any(not m.error for m in made):
        from loki_hooks.actions.reconcile.run import reconcile

        reconcile(context.site, wait=WAIT_FOR_PASS)
    state = context.store.read()
    return [m if m.error else _now(state, m) for m in made]


def _now(state: State, made: Spawned) -> Spawned:
    record = state.streams.get(made.stream)
    if record is None:
        return replace(made, status="failed", error="it ended at once: see the event log")
    process = record.session or record.claim
    if _in_session(record):
        return replace(made, status="running", pid=process.pid if process else None)
    if record.status in {Status.QUEUED, Status.OPEN}:
        return replace(made, status=record.status.value)
    if record.status in {Status.FAILED, Status.ESCALATED}:
        return replace(made, status="failed", error=record.reason)
    return replace(made, status="running")  # so quick that it has ended well already


def make_streams(context: Context, records: Sequence[StreamRecord], *, launch: bool) -> list[Spawned]:
    """Make the planned streams' worktrees, together, and queue them."""
    me = myself()
    problems: dict[str, LokiError] = {}

    def plan(state: State) -> State:
        problems.clear()
        for record in records:
            try:
                _refuse_clash(state, (), record.stream, record.name)
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


def _in_session(record: StreamRecord) -> bool:
    """Whether the stream's session runs, or its runner is about to say so."""
    return record.status in IN_SESSION or (record.status is Status.QUEUED and is_alive(record.claim))


def _refuse_clash(state: State, planned: Sequence[StreamRecord], stream: str, name: str) -> None:
    """Refuse a name that is in use, also when only its case differs (file systems and people confuse the two)."""
    others = [*state.streams.values(), *planned]
    for other in others:
        if other.stream.lower() != stream.lower() or other.status is Status.ARCHIVED or other.resting:
            continue
        if other.stream != stream or other.name != name:
            raise RefusedError(f"{shown(name)} clashes with the stream {other.stream}", "take another name")
        if _in_session(other):
            raise RefusedError(
                f"{name} is already running", f"look in with `loki-hooks logs {name}` or in {other.path}"
            )
        raise RefusedError(
            f"there is a stream {name} already ({other.status})", "take another name; `loki-hooks status` tells more"
        )


def preview(context: Context, record: StreamRecord) -> dict[str, Any]:
    """Return what `--dry-run` shows of one stream: where, on what, with exactly which prompt and argument vector."""
    prompt = render_prompt(context, record)
    return {
        **Spawned(record.name, record.stream, record.branch, record.path, "planned").to_json(),
        "base": record.base,
        "stages": list(context.stages_of(record)),
        "prompt": prompt,
        "argv": agent_argv(context, record, prompt),
    }
