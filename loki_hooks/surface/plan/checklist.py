"""Markdown checklists and PRDs: ``- [ ] auth: Log in with a token (files: src/auth/**) (after: api)``.

A top-level item is a story, what is indented below it are its lines. An item's id is the word before its first colon,
else it is made of its text. What is in brackets at its end says the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from loki_hooks.domain.names import is_name, nearest, shown, slug
from loki_hooks.domain.plan.task import Draft, Edge, Grain, PlanTask, Problem, Skipped
from loki_hooks.surface.plan.markdown import Heading, Tick, lines_of
from loki_hooks.surface.plan.reader import PlanSource

_NAMED = re.compile(r"(?:\*\*|`)?([A-Za-z0-9][A-Za-z0-9._/-]*)(?:\*\*|`)?\s*:(?:\*\*)?\s+(.+)")
_SAID = re.compile(r"\s*\(\s*([A-Za-z][A-Za-z_ -]*?)\s*:\s*([^()]*)\)")
_LISTS = {"files": "files", "file": "files", "after": "after", "depends on": "after", "needs": "after", "deps": "after"}
_TEXTS = {"kind": "kind", "agent": "agent", "priority": "priority", "estimate": "estimate", "stages": "stages"}


def fits(source: PlanSource) -> bool:
    return source.value is None and any(isinstance(line, Tick) for line in lines_of(source.text))


@dataclass
class _Story:
    item: Tick
    section: str
    lines: list[Tick] = field(default_factory=list)


def read(source: PlanSource, grain: Grain) -> Draft:
    """Return the plan: a task for each top-level item, or for each line of it."""
    goal, stories = _stories(source.text)
    problems: list[Problem] = []
    taken: set[str] = set()
    tasks, skipped = list[PlanTask](), list[Skipped]()
    aliases: dict[str, tuple[str, ...]] = {}
    for story in stories:
        whole = _task(story.item, story.section, taken, problems)
        lines = [_task(line, story.section, taken if grain is Grain.TASK else set(), problems) for line in story.lines]
        open_lines = [line for line in story.lines if not line.done and not line.cancelled]
        if story.item.done or story.item.cancelled or (story.lines and not open_lines):
            skipped.append(Skipped(whole.id, "cancelled" if story.item.cancelled else "done"))
            skipped += [Skipped(line.id, "done") for line in lines]
        elif grain is Grain.STORY or not lines:
            tasks.append(_with_lines(whole, story, lines))
            aliases |= {line.id: (whole.id,) for line in lines if line.id not in taken}
        else:
            kept = []
            for line, task in zip(story.lines, lines, strict=True):
                if line.done or line.cancelled:
                    skipped.append(Skipped(task.id, "cancelled" if line.cancelled else "done"))
                else:
                    prompt = f"{task.prompt}\n\nIt is a part of: {whole.title}"
                    kept.append(_merged(task, whole, prompt))
            tasks += kept
            aliases[whole.id] = tuple(task.id for task in kept)
    return Draft(
        "checklist", goal, tasks=tuple(tasks), skipped=tuple(skipped), problems=tuple(problems), aliases=aliases
    )


def _stories(text: str) -> tuple[str, list[_Story]]:
    goal, sections, stories = "", dict[int, str](), list[_Story]()
    for line in lines_of(text):
        if isinstance(line, Heading):
            if line.level == 1 and not goal:
                goal = line.text
            else:
                sections = {level: name for level, name in sections.items() if level < line.level} | {
                    line.level: line.text
                }
        elif stories and line.indent > stories[-1].item.indent and stories[-1].section == _section(sections):
            stories[-1].lines.append(line)
        else:
            stories.append(_Story(line, _section(sections)))
    return goal, stories


def _section(sections: dict[int, str]) -> str:
    return " / ".join(sections[level] for level in sorted(sections))


def _task(item: Tick, section: str, taken: set[str], problems: list[Problem]) -> PlanTask:
    said: dict[str, str] = {}
    text = _SAID.sub(
        lambda found: "" if _take(found[1], found[2], said, item, problems) else found[0], item.text
    ).strip()
    named = _NAMED.fullmatch(text)
    ident = named[1] if named and is_name(named[1]) else ""
    title = named[2].strip() if named and ident else text
    if not ident:
        ident = base = slug(title) or f"line-{item.line}"
        number = 2
        while ident in taken:  # made of the text, so it may be made twice; one that was written may not
            ident, number = f"{base}-{number}", number + 1
    taken.add(ident)
    numbers = {}
    for key, kind in (("priority", int), ("estimate", float)):
        try:
            numbers[key] = kind(said.get(key, "0") or "0")
        except ValueError:
            problems.append(Problem(ident, f"{key} has to be a number, and is {shown(said[key])}", item.line))
            numbers[key] = 0
    notes = "\n".join(item.notes)
    return PlanTask(
        id=ident,
        title=title,
        prompt=f"{title}\n\n{notes}" if notes else title,
        external=ident,
        files=_words(said.get("files", "")),
        depends_on=tuple(Edge(one) for one in _words(said.get("after", ""))),
        priority=int(numbers["priority"]),
        kind=said.get("kind", "") or "feature",
        stages=_words(said.get("stages", "")),
        agent=said.get("agent", ""),
        estimate=max(0.0, numbers["estimate"]),
        phase=section,
        line=item.line,
    )


def _take(key: str, value: str, said: dict[str, str], item: Tick, problems: list[Problem]) -> bool:
    """Note what a pair of brackets says. Return whether it is for us: any other one belongs to the text."""
    word = " ".join(key.lower().split())
    known = _LISTS.get(word) or _TEXTS.get(word)
    if known:
        said[known] = f"{said[known]},{value}" if known in said else value.strip()
        return True
    near = nearest(word, [*_LISTS, *_TEXTS])
    if near and len(word) > 3 and abs(len(near) - len(word)) <= 2:  # (filse: …) would be lost without a word
        problems.append(
            Problem("", f"{shown(f'({key}: …)')} is not known; did you mean ({_LISTS.get(near, near)}: …)?", item.line)
        )
    return False


def _words(text: str) -> tuple[str, ...]:
    parts = (part.strip().strip("`'\"") for part in re.split(r"[,;\s]+", text))
    return tuple(dict.fromkeys(part for part in parts if part))


def _with_lines(whole: PlanTask, story: _Story, lines: list[PlanTask]) -> PlanTask:
    """Return the story with its lines as the checklist of its prompt, and what they say of files and dependencies."""
    if not lines:
        return whole
    boxes = [f"- [{'x' if line.done else ' '}] {line.text}" for line in story.lines if not line.cancelled]
    inside = {line.id for line in lines} | {whole.id}
    edges = [edge for task in (whole, *lines) for edge in task.depends_on if edge.id not in inside]
    return replace(
        whole,
        prompt=f"{whole.prompt}\n\n" + "\n".join(boxes),
        files=_all(files for task in (whole, *lines) for files in task.files),
        depends_on=tuple({edge.id: edge for edge in edges}.values()),
        estimate=whole.estimate or sum(line.estimate for line in lines),
    )


def _merged(task: PlanTask, whole: PlanTask, prompt: str) -> PlanTask:
    """Return a line as a task of its own: what is said of the story holds for each of its lines."""
    return replace(
        task,
        prompt=prompt,
        files=task.files or whole.files,
        depends_on=tuple({edge.id: edge for edge in (*whole.depends_on, *task.depends_on)}.values()),
        priority=task.priority or whole.priority,
        kind=task.kind if task.kind != "feature" else whole.kind,
        agent=task.agent or whole.agent,
        stages=task.stages or whole.stages,
    )


def _all(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))
