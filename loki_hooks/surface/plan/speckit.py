"""GitHub spec-kit's ``tasks.md``: ``- [ ] T012 [P] [US1] Create the model in src/models/user.py (depends on T010)``.

Phases block: set-up, then the foundation, then the stories side by side, then what is after them. ``[P]`` says that
a task runs beside its neighbours; any other one comes after everything before it in its phase.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from loki_hooks.domain.names import slug
from loki_hooks.domain.plan.task import Draft, Edge, Grain, PlanTask, Skipped, Why
from loki_hooks.surface.plan.markdown import Heading, Tick, lines_of
from loki_hooks.surface.plan.reader import PlanSource

_TASK = re.compile(r"(?:\*\*)?(T\d{1,5}[a-z]?)(?:\*\*)?:?((?:\s*\[[^\]]+\])*)\s+(.+)")
_PHASE = re.compile(r"Phase\s+[\w.+]+\s*[:.\u2013\u2014-]?\s*(.*)", re.IGNORECASE)
_STORY = re.compile(r"User\s+Story\s+(\d+)", re.IGNORECASE)
_AFTER = re.compile(r"\(\s*(?:depends?\s+on|after|requires|blocked\s+by)\s*:?\s*([^()]*)\)", re.IGNORECASE)
_ID = re.compile(r"\bT(\d+)([a-z]?)(?:\s*(?:-|\u2013|\.\.|to)\s*T(\d+))?\b")
_PATH = re.compile(r"(?<![\w/.:-])((?:[\w.@-]+/)+[\w.*@-]*|[\w-]+\.(?:[a-z]{1,5}))(?![\w/])")


@dataclass(frozen=True)
class _Line:
    """One task of the file."""

    item: Tick
    id: str
    story: str
    beside: bool
    text: str
    after: tuple[str, ...]

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(path for path in _PATH.findall(self.text) if ".." not in path))


@dataclass
class _Group:
    """What becomes one stream: a story, or all of a phase that belongs to none."""

    id: str
    title: str
    story: bool
    rank: int
    """Groups of a lower rank come first."""
    priority: int = 0
    lines: list[_Line] = field(default_factory=list)

    @property
    def open(self) -> list[_Line]:
        return [line for line in self.lines if not line.item.done]


def fits(source: PlanSource) -> bool:
    items = (line for line in lines_of(source.text) if isinstance(line, Tick)) if source.value is None else iter(())
    return any(_TASK.fullmatch(item.text) for item in items)


def read(source: PlanSource, grain: Grain) -> Draft:
    """Return the plan: a task for each story and each phase beside them, or for each line."""
    goal, groups = _groups(source.text)
    tasks, skipped = list[PlanTask](), list[Skipped]()
    aliases: dict[str, tuple[str, ...]] = {}
    last: list[str] = []
    """What the phase before ends with: whoever begins the next one waits for all of it."""
    for rank in sorted({group.rank for group in groups}):
        ends = []
        for group in (one for one in groups if one.rank == rank):
            skipped += [Skipped(line.id, "done") for line in group.lines if line.item.done]
            made = [_whole(group)] if grain is Grain.STORY and group.open else list(_each(group))
            own = {task.id for task in made}
            inside = {edge.id for task in made for edge in task.depends_on} & own
            ends += [task.id for task in made if task.id not in inside]
            for task in made:
                begins = own.isdisjoint(edge.id for edge in task.depends_on)
                blocking = [Edge(one, Why.PHASE) for one in last] if begins else []
                tasks.append(replace(task, depends_on=(*task.depends_on, *blocking)))
            if grain is Grain.STORY:
                aliases |= {line.id: (group.id,) for line in group.open}
        last = ends or last
    return Draft("spec-kit", goal, tasks=tuple(tasks), skipped=tuple(skipped), aliases=aliases)


def _groups(text: str) -> tuple[str, list[_Group]]:
    goal, phase, story, rank = "", "", "", 0
    groups: dict[str, _Group] = {}
    for line in lines_of(text):
        if isinstance(line, Heading):
            named = _PHASE.fullmatch(line.text)
            if line.level == 1 and not goal:
                goal = re.sub(r"^Tasks:\s*", "", line.text)
            elif named:
                told = _STORY.search(line.text)
                story = f"US{told[1]}" if told else ""
                phase, rank = named[1] or line.text, rank + 1
            continue
        found = _TASK.fullmatch(line.text)
        if not found:
            continue
        tags = re.findall(r"\[([^\]]+)\]", found[2])
        of = next((tag for tag in tags if re.fullmatch(r"US\d+", tag)), story)
        key = of or phase or "tasks"
        if key not in groups:
            ident = of.lower() if of else slug(re.sub(r"\(.*?\)", "", phase), 30) or "tasks"
            groups[key] = _Group(ident, phase or goal, bool(of), rank, _priority(phase))
        after = tuple(one for said in _AFTER.findall(line.text) for one in _ids(said))
        groups[key].lines.append(_Line(line, found[1], of, "P" in tags, found[3], after))
    return goal, _ranked(list(groups.values()))


def _ranked(groups: list[_Group]) -> list[_Group]:
    """Return the groups with stories that follow each other in one rank: they do not block each other."""
    rank, last = 0, False
    for group in groups:
        rank += 0 if group.story and last else 1
        group.rank, last = rank, group.story
    return groups


def _priority(phase: str) -> int:
    """Return the priority of a story: P1 comes before P2."""
    said = re.search(r"Priority:\s*P(\d)", phase)
    return max(0, 5 - int(said[1])) if said else 0


def _ids(text: str) -> Iterator[str]:
    for first, letter, last in _ID.findall(text):
        yield f"T{first}{letter}"
        for number in range(int(first) + 1, min(int(last), int(first) + 1000) + 1) if last else ():
            yield f"T{number:0{len(first)}d}"


def _whole(group: _Group) -> PlanTask:
    title = re.sub(r"\s*[^\w\s()\[\].,:;'\"/&+-]+\s*", " ", group.title).strip()
    boxes = [f"- [{'x' if line.item.done else ' '}] {line.item.text}" for line in group.lines]
    notes = [f"  {note}" for line in group.open for note in line.item.notes]
    inside = {line.id for line in group.lines}
    return PlanTask(
        id=group.id,
        title=title,
        prompt="\n".join([title, "", *boxes, *notes]),
        external=group.lines[0].story or group.lines[0].id,
        items=tuple(line.id for line in group.open),
        files=_all_files(group.open),
        priority=group.priority,
        depends_on=tuple(Edge(one) for line in group.open for one in line.after if one not in inside),
        estimate=float(len(group.open)),
        phase=title,
        line=group.open[0].item.line,
    )


def _each(group: _Group) -> Iterator[PlanTask]:
    """Yield a task for each line. One without ``[P]`` waits for all before it, and all after it wait for it."""
    wall, beside = list[str](), list[str]()
    for line in group.open:
        before = wall if line.beside else [*beside] or wall
        written = {one: Edge(one) for one in line.after}
        edges = {one: Edge(one, Why.PHASE) for one in before if one not in written}
        yield PlanTask(
            id=line.id,
            title=line.text,
            prompt="\n".join([line.text, *line.item.notes]),
            external=line.id,
            files=line.files,
            priority=group.priority,
            depends_on=(*written.values(), *edges.values()),
            phase=group.title,
            line=line.item.line,
        )
        if line.beside:
            beside.append(line.id)
        else:
            wall, beside = [line.id], []


def _all_files(lines: Sequence[_Line]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for line in lines for path in line.files))
