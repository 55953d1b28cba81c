"""`loki-hooks plan`: show what would become of a list of tasks. Also what `spawn` and `run` do with one."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from loki_hooks.actions.context import Context
from loki_hooks.actions.requests.plan import Planned, enter_plan, look_at_plan, to_json
from loki_hooks.actions.streams.make import Spawned
from loki_hooks.cli.console import answer, answer_json, hint, say, table
from loki_hooks.domain.plan.task import Grain, OnOverlap, Why
from loki_hooks.system.site import discover, require_own

grain_option = click.option(
    "--grain",
    type=click.Choice([grain.value for grain in Grain]),
    default=Grain.STORY.value,
    show_default=True,
    help="One stream for each story (a group, a top-level task), or for each line of it.",
)


@click.command("plan")
@click.argument("source")
@grain_option
@click.option("--json", "as_json", is_flag=True, help="Print {source, format, goal, tasks, overlaps, problems …}.")
def plan(source: str, grain: str, as_json: bool) -> None:
    """Show what would become of the tasks in SOURCE, and do nothing.

    SOURCE is a file or a folder, gh:… (issues of GitHub), or - (standard input): a plan of ours in TOML, YAML or JSON, a
    Markdown checklist, the tasks.md of spec-kit, the tasks.json of Task Master. `spawn --plan SOURCE` enters the tasks.

    Example: loki-hooks plan specs/001-login/tasks.md
    """
    planned = look(Context(require_own(discover())), source, grain)
    show_plan(planned, as_json=as_json)
    if planned.plan.problems:
        sys.exit(1)


def look(context: Context, source: str, grain: str) -> Planned:
    """Return what the plan would do; a plan that asks does so where there is somebody to answer."""
    ask = _ask if sys.stdin.isatty() and sys.stderr.isatty() and source != "-" else None
    return look_at_plan(context, source, Grain(grain), ask)


def enter(context: Context, source: str, grain: str) -> list[Spawned]:
    """Enter the plan's tasks and say what began. Exits with 1 for a plan with problems; then nothing is entered."""
    planned = look(context, source, grain)
    if planned.plan.problems:
        _say_problems(planned)
        sys.exit(1)
    made = enter_plan(context, planned)
    for left in planned.plan.skipped:
        say(f"{left.id} is left out: {left.why}")
    for record in planned.begun:
        say(f"{record.name} is a stream already ({record.status})")
    return made


def show_plan(planned: Planned, *, as_json: bool) -> None:
    """Print the plan: an answer for programs, or a table with its problems beside it."""
    if as_json:
        answer_json(to_json(planned))
        return
    plan = planned.plan
    if plan.problems:
        _say_problems(planned)
        return
    if plan.goal:
        answer(f"Goal: {plan.goal}\n")
    critical = set(plan.critical_path)
    begun = {record.stream for record in planned.begun}
    rows = [
        (
            f"{task['start']:g}",
            f"{task['id']}{'*' if task['id'] in critical else ''}",
            "begun" if task["stream"] in begun else "new",
            _edges(task["depends_on"]),
            ", ".join(task["files"][:3]) + (" …" if len(task["files"]) > 3 else ""),
            task["title"],
        )
        for task in to_json(planned)["tasks"]
    ]
    table(("START", "TASK", "", "AFTER", "FILES", "TITLE"), rows)
    if plan.critical_path:
        answer(f"\nCritical path (*): {' → '.join(plan.critical_path)}")
    for overlap in plan.overlaps:
        if overlap.resolved != "ordered":
            answer(f"{overlap.a} and {overlap.b} overlap in {', '.join(overlap.files)}: {_RESOLVED[overlap.resolved]}")
    for left in plan.skipped:
        answer(f"Left out: {left.id} ({left.why})")


_RESOLVED = {
    OnOverlap.SEQUENCE.value: "one after the other",
    OnOverlap.PARALLEL.value: "side by side",
}


def _edges(edges: Sequence[dict[str, str]]) -> str:
    return ", ".join(e["id"] if e["why"] == Why.WRITTEN else f"{e['id']} ({e['why']})" for e in edges)


def _say_problems(planned: Planned) -> None:
    problems = planned.plan.problems
    number = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    say(f"{planned.plan.source} has {number}, so nothing of it is entered:")
    for problem in problems:
        say(f"  {problem}")
    hint(f"correct {'them' if len(problems) > 1 else 'it'} and repeat the command")


def _ask(one: str, other: str, files: Sequence[str]) -> OnOverlap:
    question = f"{one} and {other} both expect to touch {', '.join(files)}. One after the other?"
    return OnOverlap.SEQUENCE if click.confirm(question, default=True, err=True) else OnOverlap.PARALLEL
