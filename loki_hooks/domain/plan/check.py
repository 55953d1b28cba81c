"""From a draft to a plan: dependencies are resolved, and everything that is wrong is said at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from loki_hooks.domain.names import is_name, nearest, shown, stream_id
from loki_hooks.domain.plan.overlap import glob_problem
from loki_hooks.domain.plan.schedule import Ask, circles, critical_path, resolve, starts
from loki_hooks.domain.plan.task import Draft, Edge, Plan, PlanTask, Problem, Skipped
from loki_hooks.domain.streams.stages import STAGES, is_order

MAX_TASKS = 1000


@dataclass(frozen=True)
class Known:
    """What is known of the repository. ``done``: ids that have landed from this source; ``taken``: by stream id, why a
    task cannot have it.
    """

    kinds: Collection[str]
    agents: Collection[str]
    done: Collection[str] = ()
    taken: Mapping[str, str] = field(default_factory=dict)


def checked(draft: Draft, source: str, known: Known, ask: Ask | None = None) -> Plan:
    """Return the plan. With ``problems`` in it nothing of it may be entered, and its order is not looked for."""
    problems = list(draft.problems)
    if len(draft.tasks) > MAX_TASKS:
        problems.append(
            Problem("", f"there are {len(draft.tasks)} tasks, and {MAX_TASKS} is the most that a plan may have")
        )
        return Plan(source, draft.format, draft.goal, (), problems=tuple(problems))
    if not draft.tasks and not draft.skipped and not problems:
        problems.append(Problem("", "there is no task in it"))
    tasks, skipped = _without_done(draft, known)
    gone = {left.id for left in skipped}
    tasks = [_with_edges(task, draft, gone, {t.id for t in tasks}, problems) for task in tasks]
    for task in tasks:
        problems += _wrong_with(task, known)
    problems += _clashes(tasks)
    problems += [
        Problem(circle[0], f"waits for itself: {' → '.join(circle)}", _line(tasks, circle[0]))
        for circle in circles(tasks)
    ]
    if problems:
        problems.sort(key=lambda problem: problem.line)
        return Plan(source, draft.format, draft.goal, tuple(tasks), skipped=tuple(skipped), problems=tuple(problems))
    order, overlaps = resolve(tasks, draft.overlap, ask)
    start = starts(order)
    path = critical_path(order, start)
    return Plan(source, draft.format, draft.goal, tuple(order), tuple(overlaps), path, start, tuple(skipped))


def _without_done(draft: Draft, known: Known) -> tuple[list[PlanTask], list[Skipped]]:
    landed = [task for task in draft.tasks if known.done and set(task.plan_items) <= set(known.done)]
    left = {id(task) for task in landed}
    tasks = [task for task in draft.tasks if id(task) not in left]
    return tasks, [*draft.skipped, *(Skipped(task.id, "it has landed") for task in landed)]


def _with_edges(
    task: PlanTask, draft: Draft, gone: Collection[str], ids: Collection[str], problems: list[Problem]
) -> PlanTask:
    """Return the task with the ids of tasks as what it waits for: what is done is not waited for."""
    edges: dict[str, Edge] = {}
    for edge in task.depends_on:
        for one in draft.aliases.get(edge.id, (edge.id,)) if edge.id not in ids else (edge.id,):
            if one in ids:
                if one != task.id or edge.id == task.id:
                    edges.setdefault(one, replace(edge, id=one))
            elif one not in gone:
                near = nearest(one, ids)
                meant = f"; did you mean {shown(near)}?" if near else ""
                problems.append(
                    Problem(task.id, f"waits for {shown(edge.id)}, which is no task of the plan{meant}", task.line)
                )
    return replace(task, depends_on=tuple(edges.values()))


def _wrong_with(task: PlanTask, known: Known) -> list[Problem]:
    wrong = []
    if not is_name(task.id):
        wrong.append(f"{shown(task.id)} is not a name that a stream can have")
    if task.kind not in known.kinds:
        near = nearest(task.kind, known.kinds)
        wrong.append(f"there is no kind {shown(task.kind)}" + (f"; did you mean {near}?" if near else ""))
    if task.agent and task.agent not in known.agents:
        near = nearest(task.agent, known.agents)
        wrong.append(f"there is no agent {shown(task.agent)}" + (f"; did you mean {near}?" if near else ""))
    if task.stages and not is_order(task.stages):
        wrong.append(f"{shown(','.join(task.stages))} are no stages: some of {', '.join(STAGES)}, in this order")
    wrong += [f"the glob {shown(glob)} {why}" for glob in task.files if (why := glob_problem(glob))]
    if taken := known.taken.get(stream_id(task.kind, task.id).lower()):
        wrong.append(taken)
    return [Problem(task.id, text, task.line) for text in wrong]


def _clashes(tasks: list[PlanTask]) -> list[Problem]:
    """Find ids that are used twice, also where only their case differs (file systems and people confuse the two)."""
    first: dict[str, PlanTask] = {}
    found = []
    for task in tasks:
        earlier = first.setdefault(stream_id(task.kind, task.id).lower(), task)
        if earlier is not task:
            where = f" (line {earlier.line})" if earlier.line else ""
            found.append(Problem(task.id, f"has the id of another task, {shown(earlier.id)}{where}", task.line))
    return found


def _line(tasks: list[PlanTask], wanted: str) -> int:
    return next((task.line for task in tasks if task.id == wanted), 0)
