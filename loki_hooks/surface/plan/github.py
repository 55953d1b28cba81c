"""Issues of GitHub: ``{"issues": [{number, title, body, state, blocked_by, sub_issues}]}``.

``state`` is ``open`` or ``closed``, the last two are lists of numbers (``system/plan_source.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loki_hooks.domain.plan.task import Draft, Edge, Grain, PlanTask, Skipped
from loki_hooks.surface.plan.reader import PlanSource


def fits(source: PlanSource) -> bool:
    return source.name.startswith("gh:")


def read(source: PlanSource, grain: Grain) -> Draft:
    """Return the plan: a task for each issue, with its sub-issues as lines of it or as tasks of their own.

    An issue that is blocked by one that is not listed waits for it only while that one is open, which nobody here can
    tell; so that is a problem, unless it is closed.
    """
    issues = {int(issue["number"]): issue for issue in source.value["issues"]}
    parts = {part: number for number, issue in issues.items() for part in issue["sub_issues"] if part in issues}
    tasks, skipped = list[PlanTask](), list[Skipped]()
    aliases: dict[str, tuple[str, ...]] = {}
    for number, issue in issues.items():
        name = f"issue-{number}"
        below = [part for part in issue["sub_issues"] if part in issues and issues[part]["state"] == "open"]
        if issue["state"] != "open":
            skipped.append(Skipped(name, "closed"))
            aliases[f"#{number}"] = (name,)
        elif grain is Grain.STORY and number in parts:
            aliases[f"#{number}"] = (f"issue-{_top(number, parts)}",)
        elif grain is Grain.TASK and below:
            aliases[f"#{number}"] = tuple(f"issue-{part}" for part in below)
        else:
            tasks.append(_task(issue, name, [issues[part] for part in below] if grain is Grain.STORY else []))
            aliases[f"#{number}"] = (name,)
    return Draft("github", tasks=tuple(tasks), skipped=tuple(skipped), aliases=aliases)


def _top(number: int, parts: Mapping[int, int]) -> int:
    seen = {number}
    while number in parts and parts[number] not in seen:
        number = parts[number]
        seen.add(number)
    return number


def _task(issue: Mapping[str, Any], name: str, below: list[Mapping[str, Any]]) -> PlanTask:
    text = "\n\n".join(filter(None, [issue["title"], (issue["body"] or "").strip()]))
    boxes = [f"- [ ] #{part['number']} {part['title']}" for part in below]
    waits = [one for each in (issue, *below) for one in each["blocked_by"]]
    inside = {int(part["number"]) for part in below} | {int(issue["number"])}
    return PlanTask(
        id=name,
        title=issue["title"],
        prompt="\n\n".join(filter(None, [text, "\n".join(boxes)])),
        external=f"#{issue['number']}",
        items=tuple(f"#{one['number']}" for one in (issue, *below)),
        depends_on=tuple(Edge(f"#{one}") for one in dict.fromkeys(waits) if one not in inside),
    )
