"""Read a plan, show what would happen, and enter its tasks: reconcile carries it on from there.

A task becomes a stream that is planned. Its worktree is made, at the integration branch's tip of then, when all that it
waits for has landed and it is its turn. Entering the same plan again adds what is new, and changes nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from loki_hooks.actions.consent import require_trust
from loki_hooks.actions.context import Context
from loki_hooks.actions.sessions.prompt import require_agent
from loki_hooks.actions.streams.make import Spawned
from loki_hooks.actions.streams.plan import Planner, Request
from loki_hooks.domain.names import stream_id
from loki_hooks.domain.plan.check import Known, checked
from loki_hooks.domain.plan.schedule import Ask
from loki_hooks.domain.plan.task import Draft, Grain, Plan, PlanTask, Problem
from loki_hooks.domain.refs import PLAN_ITEM_TRAILER, PLAN_TRAILER
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import Status
from loki_hooks.errors import LokiError
from loki_hooks.surface.plan.reader import read_plan
from loki_hooks.system.files import read_plain
from loki_hooks.system.plan_source import MAX_BYTES, PlanText, get_plan
from loki_hooks.system.store import events, spawn_environment

WAIT_FOR_PASS = 30.0


@dataclass(frozen=True)
class Planned:
    """A plan beside the repository: the records of what is new in it, and the tasks that are streams already."""

    plan: Plan
    key: str
    new: tuple[StreamRecord, ...]
    begun: tuple[StreamRecord, ...]


def look_at_plan(context: Context, source: str, grain: Grain = Grain.STORY, ask: Ask | None = None) -> Planned:
    """Return the plan in ``source``, with everything that is wrong with it. Changes nothing.

    Raises ``LokiError`` where there is none to read.
    """
    got = get_plan(source, context.site.root)
    draft = _with_prompts(context, read_plan(got.name, got.text, grain, got.tag), got)
    state = context.store.read()
    own = {r.stream: r for r in state.streams.values() if r.task.plan == got.key}
    begun: dict[str, StreamRecord] = {}
    landed = set[str]()
    for task in draft.tasks:
        record = own.get(_stream(task))
        if record is not None and (record.status is Status.MERGED or (_over(record) and record.landed)):
            landed.add(task.id)
        elif record is not None and not _over(record):  # what was given up is begun anew
            begun[task.id] = record
    done = {item for task in draft.tasks if task.id in landed for item in task.plan_items}
    config = context.config.working
    known = Known(
        kinds=config.branches.keys(),
        agents=config.agents.keys(),
        done=done | _landed_before(context, got.key),
        taken=_taken(state, own),
    )
    plan = checked(draft, source, known, ask)
    if plan.problems:
        return Planned(plan, got.key, (), tuple(begun.values()))
    planner, records, problems = Planner(context), [], []
    for task in plan.tasks:
        if task.id not in begun:
            try:
                records.append(_record(planner, task, plan, got.key))
            except LokiError as error:
                problems.append(Problem(task.id, error.message, task.line))
    if problems:
        return Planned(replace(plan, problems=tuple(problems)), got.key, (), tuple(begun.values()))
    return Planned(plan, got.key, tuple(records), tuple(begun.values()))


def enter_plan(context: Context, planned: Planned) -> list[Spawned]:
    """Enter what is new of the plan, and have a pass begin with it. Raises ``LokiError``; then nothing is entered."""
    from loki_hooks.actions.reconcile.run import reconcile

    if planned.plan.problems:
        raise LokiError("the plan has problems, so nothing of it is entered")
    require_trust(context)
    for agent in {record.agent for record in planned.new}:
        require_agent(context, next(record for record in planned.new if record.agent == agent))
    context.site.enable("spawn")
    for record in planned.new:
        spawn_environment.keep(context.site, record.stream)
    entered: list[str] = []

    def enter(state: State) -> State:
        entered.clear()
        for record in planned.new:
            there = state.streams.get(record.stream)
            if there is None or there.status is Status.ARCHIVED:  # else another process entered it meanwhile
                state = state.with_stream(record)
                entered.append(record.stream)
        return state.with_plan(planned.key, planned.plan.goal, [_stream(task) for task in planned.plan.tasks])

    context.store.update(enter)
    evidence = {"source": planned.key, "goal": planned.plan.goal, "streams": entered}
    events.record(context.site, "plan-entered", detail=planned.plan.source, evidence=evidence)
    reconcile(context.site, wait=WAIT_FOR_PASS)
    after = context.store.read()
    made = []
    for record in planned.new:
        now = after.streams.get(record.stream, record)
        process = now.session or now.claim
        made.append(
            Spawned(now.name, now.stream, now.branch, now.path, now.status.value, process.pid if process else None)
        )
    return made


def to_json(planned: Planned) -> dict[str, Any]:
    """Return the plan as `plan --json` prints it (README, "Plans")."""
    plan = planned.plan
    critical = set(plan.critical_path)
    return {
        "source": plan.source,
        "format": plan.format,
        "goal": plan.goal,
        "tasks": [
            {
                "id": task.id,
                "external": task.external,
                "stream": _stream(task),
                "title": task.title,
                "files": list(task.files),
                "depends_on": [{"id": edge.id, "why": edge.why.value} for edge in task.depends_on],
                "priority": task.priority,
                "critical": task.id in critical,
                "start": plan.start.get(task.id),
            }
            for task in plan.tasks
        ],
        "overlaps": [{"a": o.a, "b": o.b, "files": list(o.files), "resolved": o.resolved} for o in plan.overlaps],
        "critical_path": list(plan.critical_path),
        "skipped": [{"id": left.id, "why": left.why} for left in plan.skipped],
        "problems": [
            {"task": wrong.task or None, "problem": wrong.problem, "line": wrong.line or None}
            for wrong in plan.problems
        ],
    }


def _stream(task: PlanTask) -> str:
    return stream_id(task.kind, task.id)


def _over(record: StreamRecord) -> bool:
    return record.status in {Status.ARCHIVED, Status.ABANDONED}


def _record(planner: Planner, task: PlanTask, plan: Plan, key: str) -> StreamRecord:
    """Return the record of a task whose turn has not come: it begins at no commit yet."""
    request = Request(
        (task.id,), task=task.prompt, kind=task.kind, agent=task.agent, priority=task.priority, stages=task.stages
    )
    record = planner.plan(request)[0]
    by_id = {other.id: other for other in plan.tasks}
    return replace(
        record,
        base="",
        after=tuple(_stream(by_id[edge.id]) for edge in task.depends_on),
        task=replace(record.task, files=task.files, plan=key, plan_items=task.plan_items),
    )


def _taken(state: State, own: dict[str, StreamRecord]) -> dict[str, str]:
    """Return, by stream id in lower case, why a task of the plan cannot have the name of a stream that is not its own."""
    return {
        record.stream.lower(): f"there is a stream {record.name} already ({record.status})"
        for record in state.streams.values()
        if record.stream not in own and record.status is not Status.ARCHIVED and not record.resting
    }


def _landed_before(context: Context, key: str) -> set[str]:
    """Return the items of the plan whose merges the integration branch has: the proof when a record has expired."""
    git = context.git
    if git.commit_id(context.integration_ref) is None:
        return set()
    form = (
        f"%x00%(trailers:key={PLAN_TRAILER},valueonly,unfold)%x01%(trailers:key={PLAN_ITEM_TRAILER},valueonly,unfold)"
    )
    words = ("log", "--first-parent", f"--grep=^{PLAN_TRAILER}: ", f"--format={form}", context.integration_ref, "--")
    done: set[str] = set()
    for entry in git.out(*words).split("\0")[1:]:
        source, _, items = entry.partition("\x01")
        if source.strip() == key:
            done |= {item.strip() for item in items.splitlines() if item.strip()}
    return done


def _with_prompts(context: Context, draft: Draft, got: PlanText) -> Draft:
    """Return the draft with the text of each ``prompt_file``, which is beside the plan or in the repository."""
    tasks, problems = [], list(draft.problems)
    for task in draft.tasks:
        if not task.prompt_file:
            tasks.append(task)
            continue
        places = [Path(got.name).parent / task.prompt_file, context.site.root / task.prompt_file]
        path = next((place for place in places if place.is_file()), None)
        raw = read_plain(path.resolve(), limit=MAX_BYTES) if path else None
        try:
            text = raw.decode("utf-8-sig") if raw is not None else ""
        except UnicodeDecodeError:
            text = ""
        if not text.strip() or "\0" in text:
            problems.append(
                Problem(task.id, f"prompt_file {task.prompt_file!r} is no text that can be read", task.line)
            )
        tasks.append(replace(task, prompt=text))
    return replace(draft, tasks=tuple(tasks), problems=tuple(problems))
