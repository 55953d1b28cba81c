"""The order of a plan: what begins when, which chain decides how long it takes, and which tasks wait in a circle."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from loki_hooks.domain.plan.overlap import common
from loki_hooks.domain.plan.task import Edge, OnOverlap, Overlap, PlanTask, Why

Ask = Callable[[str, str, Sequence[str]], OnOverlap]
"""Ask whether two tasks that overlap (the files) shall run in sequence or side by side."""


def circles(tasks: Sequence[PlanTask]) -> list[list[str]]:
    """Return the groups of tasks that wait for each other, each in the order in which they do."""
    after = {task.id: [edge.id for edge in task.depends_on] for task in tasks}
    found: list[list[str]] = []
    done: set[str] = set()
    for first, waits in after.items():
        trail: list[str] = []
        where: dict[str, int] = {}
        stack: list[tuple[str, Iterator[str]]] = []
        if first not in done:
            where[first] = 0
            trail.append(first)
            stack.append((first, iter(waits)))
        while stack:
            task, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                trail.pop()
                del where[task]
                done.add(task)
            elif following in where:
                found.append([*trail[where[following] :], following])
            elif following in after and following not in done:
                where[following] = len(trail)
                trail.append(following)
                stack.append((following, iter(after[following])))
    return found


def ordered(tasks: Sequence[PlanTask]) -> list[PlanTask]:
    """Return the tasks so that each comes after what it waits for; else by priority, then as they were written.

    There must be no circle.
    """
    by_id = {task.id: task for task in tasks}
    place = {task.id: number for number, task in enumerate(tasks)}
    waits = {task.id: {e.id for e in task.depends_on if e.id in by_id} for task in tasks}
    followers: dict[str, list[str]] = {task.id: [] for task in tasks}
    for task, those in waits.items():
        for one in those:
            followers[one].append(task)
    heap = [(-by_id[task].priority, place[task], task) for task, those in waits.items() if not those]
    heapq.heapify(heap)
    found = []
    while heap:
        _, _, task = heapq.heappop(heap)
        found.append(by_id[task])
        for one in followers[task]:
            waits[one].discard(task)
            if not waits[one]:
                heapq.heappush(heap, (-by_id[one].priority, place[one], one))
    return found


def resolve(
    tasks: Sequence[PlanTask], overlap: OnOverlap, ask: Ask | None = None
) -> tuple[list[PlanTask], list[Overlap]]:
    """Return the ordered tasks, with an edge more where two overlap and shall run in sequence, and all overlaps.

    Without ``ask`` (no terminal) a plan that asks is a plan that says "sequence".
    """
    order = ordered(tasks)
    place = {task.id: number for number, task in enumerate(order)}
    reached = [0] * len(order)  # by task: everything that it waits for, as bits
    more: dict[str, list[Edge]] = {}
    overlaps = []
    for number, task in enumerate(order):
        for edge in task.depends_on:
            if edge.id in place:
                reached[number] |= reached[place[edge.id]] | 1 << place[edge.id]
        for before in range(number - 1, -1, -1):  # the nearest first: what it waits for in turn is ordered, too
            earlier = order[before]
            files = common(earlier.files, task.files) if earlier.files and task.files else ()
            if not files:
                continue
            how: str = "ordered"
            if not reached[number] >> before & 1:
                chosen = overlap
                if chosen is OnOverlap.ASK:
                    chosen = ask(earlier.id, task.id, files) if ask else OnOverlap.SEQUENCE
                how = chosen.value
                if chosen is OnOverlap.SEQUENCE:
                    more.setdefault(task.id, []).append(Edge(earlier.id, Why.OVERLAP))
                    reached[number] |= reached[before] | 1 << before
            overlaps.append(Overlap(earlier.id, task.id, files, how))
    return [
        replace(task, depends_on=(*task.depends_on, *more[task.id])) if task.id in more else task for task in order
    ], overlaps


def starts(order: Sequence[PlanTask]) -> dict[str, float]:
    """Return each task's earliest start, where nothing but what it waits for holds it up. ``order``: see ``ordered``."""
    end: dict[str, float] = {}
    start: dict[str, float] = {}
    for task in order:
        start[task.id] = max((end[edge.id] for edge in task.depends_on if edge.id in end), default=0.0)
        end[task.id] = start[task.id] + task.weight
    return start


def critical_path(order: Sequence[PlanTask], start: Mapping[str, float]) -> tuple[str, ...]:
    """Return the chain of tasks that decides when all is done, first to last; of several the first."""
    if not order:
        return ()
    by_id = {task.id: task for task in order}
    path = [max(order, key=lambda task: start[task.id] + task.weight)]
    while True:
        before = [by_id[edge.id] for edge in path[-1].depends_on if edge.id in by_id]
        if not before:
            return tuple(task.id for task in reversed(path))
        path.append(max(before, key=lambda task: start[task.id] + task.weight))
