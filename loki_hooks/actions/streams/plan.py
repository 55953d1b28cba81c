"""Check everything that a spawn asks for, and say what shall be. Nothing is made before all of it was found good."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.streams.start_commit import base_commit
from loki_hooks.domain.names import flat, nearest, shown, stream_id, validate_name
from loki_hooks.domain.streams.record import StreamRecord, Task
from loki_hooks.domain.streams.stages import STAGES, is_order
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import IN_SESSION, Status
from loki_hooks.errors import BadInputError, LokiError, RefusedError
from loki_hooks.system.clock import now
from loki_hooks.system.git.git import WorktreeEntry, list_worktrees
from loki_hooks.system.processes.alive import is_alive


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


def plan_streams(context: Context, request: Request) -> tuple[StreamRecord, ...]:
    """Return the records of what would be made. Raises ``LokiError`` for the first thing that is wrong; makes nothing."""
    return Planner(context).plan(request)


class Planner:
    """Plans streams, each beside those that it planned before. The repository is looked at once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._state = context.store.read()
        self._worktrees = list_worktrees(context.git)
        self._heads = context.git.refs("refs/heads/")
        self._planned: list[StreamRecord] = []

    def plan(self, request: Request) -> tuple[StreamRecord, ...]:
        """Return the records of what would be made for this request. Raises ``LokiError``; then none of it is planned."""
        context = self._context
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
        after = tuple(context.require_stream(word).stream for word in request.after)
        before = len(self._planned)
        try:
            for name in names:
                self._planned.append(self._one(replace(request, agent=agent, after=after), name, base))
        except LokiError:
            del self._planned[before:]
            raise
        return tuple(self._planned[before:])

    def _one(self, request: Request, name: str, base: str) -> StreamRecord:
        context = self._context
        stream = stream_id(request.kind, name)
        refuse_clash(self._state, self._planned, stream, name)
        task = Task(id=flat(name), text=request.task, stages=request.stages)
        values = context.values(
            kind=request.kind, name=name, stream=stream, task_id=task.id, task=task.title, agent=request.agent
        )
        branch = request.branch or context.branch_for(request.kind, values, name)
        path = context.path_for(values)
        if branch == context.integration:
            raise RefusedError(f"{branch} is the integration branch", "a stream needs a branch of its own")
        exists = self._heads.get(f"refs/heads/{branch}")
        holder = next((w for w in self._worktrees if w.branch == branch), None)
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
        _refuse_branch_clash(branch, [*self._heads, *(f"refs/heads/{p.branch}" for p in self._planned)])
        _refuse_folder_clash(path, self._worktrees)
        if any(p.path == str(path) or p.branch == branch for p in self._planned):
            raise BadInputError(
                f"two of the streams would share {branch} or {path}", "change the templates, or the names"
            )
        start = (context.git.maybe("merge-base", exists, base) or exists) if request.branch and exists else base
        return StreamRecord(
            request.kind,
            name,
            Status.PLANNED,
            str(path),
            branch,
            base=start,
            task=task,
            agent=request.agent,
            priority=request.priority,
            after=request.after,
            created_at=now(),
            explicit_base=bool(request.base or request.branch),
            tmux=request.tmux,
        )


def _refuse_branch_clash(branch: str, heads: Iterable[str]) -> None:
    """git keeps branches as files in folders: one branch's name cannot be the folder of another's."""
    ref = f"refs/heads/{branch}"
    for other in heads:
        if ref.startswith(f"{other}/") or other.startswith(f"{ref}/"):
            name = other.removeprefix("refs/heads/")
            raise RefusedError(
                f"there cannot be a branch {branch} beside the branch {name}",
                f"rename that one (`git branch -m {name} NEW`), or change the template in [branches]",
            )


def _refuse_folder_clash(path: Path, worktrees: Iterable[WorktreeEntry]) -> None:
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RefusedError(f"{path} exists already", "move it away, or change worktrees.path in loki-hooks.toml")
    if any(w.path == path and w.head.strip("0") for w in worktrees):  # one that was only begun is taken back
        raise RefusedError(
            f"a worktree is registered in {path}, and its folder is not there",
            f"bring it back, or `git worktree remove {path}` if it was deleted for good",
        )
    above = next((parent for parent in path.parents if os.path.lexists(parent)), path)
    if not above.is_dir():
        raise RefusedError(
            f"{above} is no folder, so {path} cannot be made", "change worktrees.path in loki-hooks.toml"
        )


def in_session(record: StreamRecord) -> bool:
    """Whether the stream's session runs, or its runner is about to say so."""
    return record.status in IN_SESSION or (record.status is Status.QUEUED and is_alive(record.claim))


def refuse_clash(state: State, planned: Sequence[StreamRecord], stream: str, name: str) -> None:
    """Refuse a name that is in use, also when only its case differs (file systems and people confuse the two)."""
    others = [*state.streams.values(), *planned]
    for other in others:
        if other.stream.lower() != stream.lower() or other.status is Status.ARCHIVED or other.resting:
            continue
        if other.stream != stream or other.name != name:
            raise RefusedError(f"{shown(name)} clashes with the stream {other.stream}", "take another name")
        if in_session(other):
            raise RefusedError(
                f"{name} is already running", f"look in with `loki-hooks logs {name}` or in {other.path}"
            )
        raise RefusedError(
            f"there is a stream {name} already ({other.status})", "take another name; `loki-hooks status` tells more"
        )
