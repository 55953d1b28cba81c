"""Task Master's ``tasks.json``: one list (``{"tasks": […]}``), or one for each tag (``{"master": {"tasks": […]}}``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loki_hooks.domain.names import nearest, shown
from loki_hooks.domain.plan.task import Draft, Edge, Grain, PlanTask, Problem, Skipped
from loki_hooks.surface.plan.reader import PlanSource

DEFAULT_TAG = "master"
_ITS_KEYS = frozenset({"status", "dependencies", "testStrategy", "subtasks", "details"})
_OVER = {"done": "done", "completed": "done", "cancelled": "cancelled", "deferred": "deferred"}
_PRIORITY = {"critical": 2, "high": 1, "medium": 0, "low": -1}


def fits(source: PlanSource) -> bool:
    return bool(_lists(source.value))


def _lists(value: Any) -> dict[str, list[Any]]:
    """Return the lists of tasks in it, by tag ('' for the only one of the old form); {} for another format."""
    if not isinstance(value, dict):
        return {}
    if isinstance(value.get("tasks"), list):
        return {"": value["tasks"]} if "plan" not in value and _is_its(value["tasks"]) else {}
    lists = {tag: part["tasks"] for tag, part in value.items() if isinstance(part, dict) and _is_list(part)}
    return lists if any(_is_its(tasks) or not tasks for tasks in lists.values()) else {}


def _is_list(part: Mapping[str, Any]) -> bool:
    return isinstance(part.get("tasks"), list)


def _is_its(tasks: list[Any]) -> bool:
    return any(isinstance(task, dict) and _ITS_KEYS & task.keys() for task in tasks)


def read(source: PlanSource, grain: Grain) -> Draft:
    """Return the plan in the list of the wanted tag: a task for each of its tasks, or for each of their subtasks."""
    lists = _lists(source.value)
    if source.tag or "" not in lists:
        tag = source.tag or (DEFAULT_TAG if DEFAULT_TAG in lists or len(lists) > 1 else next(iter(lists)))
        if tag not in lists:
            names = ", ".join(sorted(filter(None, lists))) or "none"
            near = nearest(tag, lists)
            meant = f" (did you mean {shown(near)}?)" if near else ""
            said = f"it has no list {shown(tag)}{meant}: there are {names}; choose one with {source.name}#TAG"
            return Draft("task-master", problems=(Problem("", said),))
    else:
        tag = ""
    problems: list[Problem] = []
    tasks, skipped = list[PlanTask](), list[Skipped]()
    aliases: dict[str, tuple[str, ...]] = {}
    for number, entry in enumerate(lists[tag]):
        if not isinstance(entry, dict) or not _number(entry.get("id")):
            problems.append(Problem("", f"task {number + 1} has no id"))
            continue
        own = _number(entry["id"])
        name = f"task-{own}"
        subtasks = [sub for sub in _listed(entry.get("subtasks")) if isinstance(sub, dict) and _number(sub.get("id"))]
        alive = [sub for sub in subtasks if sub.get("status") not in _OVER]
        if why := _OVER.get(str(entry.get("status"))):
            skipped.append(Skipped(name, why))
            aliases[own] = (name,)
            aliases |= {f"{own}.{_number(sub['id'])}": (name,) for sub in subtasks}
        elif grain is Grain.STORY or not alive:
            tasks.append(_task(source, entry, own, name, subtasks))
            aliases[own] = (name,)
            aliases |= {f"{own}.{_number(sub['id'])}": (name,) for sub in subtasks}
        else:
            whole = _task(source, entry, own, name, ())
            for sub in subtasks:
                ident = f"{own}.{_number(sub['id'])}"
                aliases[ident] = (f"task-{ident}",)
                if sub in alive:
                    tasks.append(_subtask(source, sub, ident, whole, own))
                else:
                    skipped.append(Skipped(f"task-{ident}", _OVER[str(sub.get("status"))]))
            aliases[own] = tuple(f"task-{own}.{_number(sub['id'])}" for sub in alive)
    listed = tuple(tasks)
    return Draft(
        "task-master",
        _goal(source, tag),
        tasks=listed,
        skipped=tuple(skipped),
        problems=tuple(problems),
        aliases=aliases,
    )


def _task(source: PlanSource, entry: Mapping[str, Any], own: str, name: str, subtasks: Any) -> PlanTask:
    title = _text(entry, "title") or name
    parts = [title, _text(entry, "description"), _text(entry, "details")]
    boxes = [
        f"- [{'x' if sub.get('status') in {'done', 'completed'} else ' '}] {_text(sub, 'title')}"
        + "".join(f"\n  {line}" for line in _text(sub, "description").splitlines())
        for sub in subtasks
        if sub.get("status") != "cancelled"
    ]
    if boxes:
        parts.append("\n".join(boxes))
    if strategy := _text(entry, "testStrategy"):
        parts.append(f"How to test it: {strategy}")
    inside = {f"{own}.{_number(sub['id'])}" for sub in subtasks}
    alive = [sub for sub in subtasks if sub.get("status") not in _OVER]
    waits = [*_waits(entry, ""), *(one for sub in alive for one in _waits(sub, own))]
    return PlanTask(
        id=name,
        title=title,
        prompt="\n\n".join(filter(None, parts)),
        external=own,
        files=tuple(dict.fromkeys((*_files(entry), *(path for sub in alive for path in _files(sub))))),
        depends_on=tuple(Edge(one) for one in dict.fromkeys(waits) if one not in inside and one != own),
        priority=_PRIORITY.get(str(entry.get("priority", "medium")).lower(), 0),
        estimate=float(len(alive)),
        line=source.line_of(f'"title": "{title}"'),
    )


def _subtask(source: PlanSource, sub: Mapping[str, Any], ident: str, whole: PlanTask, own: str) -> PlanTask:
    task = _task(source, sub, ident, f"task-{ident}", ())
    edges = {edge.id: edge for edge in (*whole.depends_on, *(Edge(one) for one in _waits(sub, own)))}
    prompt = f"{task.prompt}\n\nIt is a part of: {whole.title}"
    return PlanTask(
        id=task.id,
        title=task.title,
        prompt=prompt,
        external=ident,
        files=task.files or whole.files,
        depends_on=tuple(edges.values()),
        priority=whole.priority,
        phase=whole.title,
        line=task.line,
    )


def _waits(entry: Mapping[str, Any], parent: str) -> Iterator[str]:
    """Yield what it depends on. In a subtask a plain number is one of its siblings."""
    for one in _listed(entry.get("dependencies")):
        number = _number(one)
        if number:
            yield f"{parent}.{number}" if parent and "." not in number else number


def _files(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield the files that the task is said to change; those it only reads are nobody's territory."""
    more = entry.get("metadata")
    for one in (
        *_listed(entry.get("relevantFiles")),
        *_listed(more.get("relevantFiles") if isinstance(more, dict) else None),
    ):
        path = one.get("path") if isinstance(one, dict) else one
        if isinstance(path, str) and path.strip() and not (isinstance(one, dict) and one.get("action") == "reference"):
            yield path.strip()


def _goal(source: PlanSource, tag: str) -> str:
    part = source.value.get(tag) if tag else source.value
    about = part.get("metadata") if isinstance(part, dict) else None
    said = about.get("description") if isinstance(about, dict) else None
    return said if isinstance(said, str) else ""


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return value.strip() if isinstance(value, str) else ""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: Any) -> str:
    """Return an id as text: a number, or a text such as ``4`` or ``4.1``; '' for none."""
    if type(value) is int and value >= 0:
        return str(value)
    return value.strip() if isinstance(value, str) and value.strip().replace(".", "").isalnum() else ""
