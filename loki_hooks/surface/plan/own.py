"""Our own plans: ``[plan]`` and ``[[tasks]]`` in TOML, the same tables in YAML and JSON (README, "Plans")."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from loki_hooks.domain.names import nearest, shown
from loki_hooks.domain.plan.task import Draft, Edge, Grain, OnOverlap, PlanTask, Problem
from loki_hooks.surface.plan.reader import PlanSource

_T = TypeVar("_T")
_NONE: tuple[str, ...] = ()


def fits(source: PlanSource) -> bool:
    value = source.value
    return isinstance(value, dict) and ("plan" in value or "tasks" in value) and source.suffix != ".md"


def read(source: PlanSource, _grain: Grain) -> Draft:
    """Return the plan. An unknown key is a problem: a dependency under a misspelt key would be lost without a word."""
    value = source.value
    problems = [
        Problem("", f"unknown key {shown(str(key))}{_meant(str(key), {'plan', 'tasks'})}", source.line_of(str(key)))
        for key in value
        if key not in {"plan", "tasks"}
    ]
    head = value.get("plan", {})
    goal, overlap = "", OnOverlap.SEQUENCE
    if isinstance(head, dict):
        entry = _Entry(head, "plan", source.line_of("[plan]") or source.line_of("plan"), problems)
        entry.only({"goal", "overlap"})
        goal = entry.take("goal", _text, "")
        overlap = entry.take("overlap", _overlap, OnOverlap.SEQUENCE)
    else:
        problems.append(Problem("", "plan has to be a table"))
    listed = value.get("tasks", [])
    if not isinstance(listed, list):
        return Draft("loki-hooks", goal, overlap, problems=(*problems, Problem("", "tasks has to be a list of tables")))
    lines = _lines_of_tasks(source, listed)
    tasks = []
    for number, table in enumerate(listed):
        if not isinstance(table, dict):
            problems.append(Problem("", f"task {number + 1} has to be a table", lines[number]))
        elif task := _task(table, number, lines[number], problems):
            tasks.append(task)
    return Draft("loki-hooks", goal, overlap, tuple(tasks), problems=tuple(problems))


def _task(table: Mapping[str, Any], number: int, line: int, problems: list[Problem]) -> PlanTask | None:
    known = table.get("id")
    entry = _Entry(table, known if isinstance(known, str) else f"task {number + 1}", line, problems)
    entry.only(_KEYS)
    ident = entry.take("id", _name, "")
    if not ident and "id" not in table:
        problems.append(Problem("", f"task {number + 1} has no id", line))
    title = entry.take("title", _text, "")
    prompt = entry.take("prompt", _text, "")
    for key, (default, why) in _NOT_YET.items():
        if table.get(key, default) != default:
            problems.append(Problem(entry.name, f"{key} {why}", line))
    waits = [one for key in ("depends_on", "needs", "deps") for one in entry.take(key, _texts, _NONE)]
    task = PlanTask(
        id=ident,
        title=title,
        prompt=prompt or title or ident,
        prompt_file=entry.take("prompt_file", _text, ""),
        external=ident,
        files=entry.take("files", _texts, _NONE),
        depends_on=tuple(Edge(one) for one in dict.fromkeys(waits)),
        priority=entry.take("priority", _whole, 0),
        kind=entry.take("kind", _text, "feature"),
        stages=entry.take("stages", _texts, _NONE),
        agent=entry.take("agent", _text, ""),
        estimate=entry.take("estimate", _amount, 0.0),
        phase=entry.take("phase", _text, ""),
        line=line,
    )
    return task if ident else None


_KEYS = frozenset(
    {
        *("id", "title", "prompt", "files", "depends_on", "needs", "deps", "priority", "kind", "stages"),
        *("agent", "estimate", "phase", "prompt_file", "model", "best_of", "hints", "repo"),
    }
)
_NOT_YET = {
    "model": ("", "cannot be said of one task: set it in [session], or in [session.kinds.KIND]"),
    "best_of": (1, "cannot be more than 1"),
    "hints": ([], "cannot be chosen by a task"),
    "repo": ("", "has to be this repository"),
}
"""Keys that have one value only: by key, that value, and what is said of any other."""


@dataclass(frozen=True)
class _Entry:
    """One table of the plan, and where to say what is wrong with it."""

    table: Mapping[str, Any]
    name: str
    line: int
    problems: list[Problem]

    def only(self, keys: frozenset[str] | set[str]) -> None:
        for key in self.table:
            if key not in keys:
                self.problems.append(
                    Problem(self.name, f"unknown key {shown(str(key))}{_meant(str(key), keys)}", self.line)
                )

    def take(self, key: str, read: Callable[[Any], _T], default: _T) -> _T:
        """Return the value of ``key``, or ``default``. ``read`` raises ``ValueError`` with what it has to be."""
        if key not in self.table:
            return default
        try:
            return read(self.table[key])
        except ValueError as error:
            self.problems.append(Problem(self.name, f"{key} has to be {error}", self.line))
            return default


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("a text")
    return value.strip()


def _name(value: Any) -> str:
    if type(value) is int:  # in YAML an id like 12 is a number
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a name")
    return value.strip()


def _texts(value: Any) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(one, str) or type(one) is int for one in listed):
        raise ValueError("a list of texts")
    return tuple(str(one).strip() for one in listed)


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueError("a whole number")
    return value


def _amount(value: Any) -> float:
    if type(value) not in {int, float} or not 0 <= value < 1e9:
        raise ValueError("a number from 0")
    return float(value)


def _overlap(value: Any) -> OnOverlap:
    try:
        return OnOverlap(value)
    except ValueError:
        raise ValueError(f"one of {', '.join(OnOverlap)}") from None


def _meant(key: str, known: frozenset[str] | set[str]) -> str:
    near = nearest(key, sorted(known))
    return f"; did you mean {near}?" if near else ""


def _lines_of_tasks(source: PlanSource, listed: list[Any]) -> list[int]:
    """Return the line of each task; 0 where it cannot be told."""
    heads = [found.start() for found in re.finditer(r"^[ \t]*\[\[\s*tasks\s*\]\]", source.text, re.MULTILINE)]
    if len(heads) == len(listed):
        return [source.text.count("\n", 0, at) + 1 for at in heads]
    lines, start = [], 0
    for table in listed:
        ident = table.get("id") if isinstance(table, dict) else None
        found = re.compile(rf"\bid[\"']?\s*[:=]\s*[\"']?{re.escape(str(ident))}\b").search(source.text, start)
        lines.append(source.text.count("\n", 0, found.start()) + 1 if found and ident is not None else 0)
        start = found.end() if found and ident is not None else start
    return lines
