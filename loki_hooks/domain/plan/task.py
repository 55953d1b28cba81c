"""A plan as values: tasks, what each waits for, what was left out, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Grain(StrEnum):
    """How much one stream does: a story (a group, a top-level task) with its lines as a checklist, or one line each."""

    STORY = "story"
    TASK = "task"


class Why(StrEnum):
    """Where an edge comes from. Nothing is guessed from prose."""

    WRITTEN = "written"
    PHASE = "phase"
    OVERLAP = "overlap"


class OnOverlap(StrEnum):
    """What becomes of two tasks whose files overlap."""

    SEQUENCE = "sequence"
    ASK = "ask"
    PARALLEL = "parallel"


@dataclass(frozen=True)
class Edge:
    """What a task waits for."""

    id: str
    why: Why = Why.WRITTEN


@dataclass(frozen=True)
class PlanTask:
    """One task. ``line`` is where it stands in its source (from 1; 0: cannot be told).

    ``id`` becomes the stream's name. ``external`` is how its source calls it, ``items`` how it calls what is in it: they
    stay in the message of the merge. ``prompt_file``: a path whose text is the prompt. ``estimate`` is in whatever
    unit the plan uses; 0 counts as 1.
    """

    id: str
    title: str = ""
    prompt: str = ""
    prompt_file: str = ""
    external: str = ""
    items: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    depends_on: tuple[Edge, ...] = ()
    priority: int = 0
    kind: str = "feature"
    stages: tuple[str, ...] = ()
    agent: str = ""
    estimate: float = 0
    phase: str = ""
    line: int = 0

    @property
    def weight(self) -> float:
        """How long it takes, in the plan's unit."""
        return self.estimate or 1.0

    @property
    def plan_items(self) -> tuple[str, ...]:
        """The ids of its source that are done when it has landed."""
        return self.items or ((self.external,) if self.external else (self.id,))


@dataclass(frozen=True)
class Skipped:
    """A task that needs no stream, and why."""

    id: str
    why: str


@dataclass(frozen=True)
class Problem:
    """What is wrong. ``task`` is '' where it is the whole; ``line`` is from 1, 0 where it cannot be told."""

    task: str
    problem: str
    line: int = 0

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{f'{self.task}: ' if self.task else ''}{self.problem}"


@dataclass(frozen=True)
class Overlap:
    """Two tasks that expect to touch the same files; ``resolved``: in which way (``ordered``: they were so anyway)."""

    a: str
    b: str
    files: tuple[str, ...]
    resolved: str


@dataclass(frozen=True)
class Draft:
    """What a reader found in a source, before anything of it was checked.

    ``aliases``: what else a dependency may call a task: the id of a line in it, or of a group (all its tasks).
    """

    format: str
    goal: str = ""
    overlap: OnOverlap = OnOverlap.SEQUENCE
    tasks: tuple[PlanTask, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    problems: tuple[Problem, ...] = ()
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A plan whose tasks are known, ordered and checked. ``start``: by task, its earliest start in the plan's unit."""

    source: str
    format: str
    goal: str
    tasks: tuple[PlanTask, ...]
    overlaps: tuple[Overlap, ...] = ()
    critical_path: tuple[str, ...] = ()
    start: Mapping[str, float] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()
    problems: tuple[Problem, ...] = ()
