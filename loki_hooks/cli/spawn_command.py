"""`loki-hooks spawn`: start agent sessions, each in a worktree of its own."""

from __future__ import annotations

import shlex
import sys
import textwrap
from dataclasses import replace

import click

from loki_hooks.actions.context import Context
from loki_hooks.actions.requests.spawn import preview
from loki_hooks.actions.requests.spawn import spawn as do_spawn
from loki_hooks.actions.sessions.prompt import needs_task
from loki_hooks.actions.sessions.tmux import require_tmux
from loki_hooks.actions.streams.make import Spawned
from loki_hooks.actions.streams.plan import Request, plan_streams
from loki_hooks.cli.console import answer, answer_json, say, table
from loki_hooks.cli.plan_command import enter, grain_option, look, show_plan
from loki_hooks.cli.task_text import ask_for_task, task_text
from loki_hooks.errors import BadInputError
from loki_hooks.system.site import discover, require_own


@click.command("spawn")
@click.argument("names", nargs=-1, metavar="NAME...")
@click.option(
    "--plan", "source", default="", metavar="SOURCE", help="Enter the tasks of a plan (see `plan`), instead of NAMEs."
)
@grain_option
@click.option("--task", default="", help="What the streams shall do.")
@click.option("--prompt-file", default="", metavar="F", help="Read the task from a file ('-': from standard input).")
@click.option(
    "--kind", default="feature", show_default=True, help="feature, testing, qa, docs, blog, or a configured one."
)
@click.option(
    "--agent", default="", help="The agent to run: claude, codex, gemini, aider, opencode, or a configured one."
)
@click.option("--base", default="", metavar="REV", help="Begin at this commit instead of the integration branch.")
@click.option("--branch", default="", metavar="EXISTING", help="Work on this existing branch.")
@click.option(
    "--after", multiple=True, metavar="NAME", help="Start only when this stream has landed (may be repeated)."
)
@click.option("--priority", default=0, show_default=True, help="Higher ones start and land first.")
@click.option(
    "--stages",
    default="",
    metavar="S,S",
    help="Sessions to do it in, one after the other: analyze,build,review; default: as configured for its kind.",
)
@click.option(
    "--tmux", is_flag=True, help="Run the sessions on a terminal in tmux; `loki-hooks logs NAME` says how to attach."
)
@click.option("--no-launch", is_flag=True, help="Make the worktrees, start no session.")
@click.option("--dry-run", is_flag=True, help="Show what would be made and run; make nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print [{name, stream, branch, path, status, pid, error}].")
def spawn(
    names: tuple[str, ...],
    source: str,
    grain: str,
    task: str,
    prompt_file: str,
    kind: str,
    agent: str,
    base: str,
    branch: str,
    after: tuple[str, ...],
    priority: int,
    stages: str,
    tmux: bool,
    no_launch: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make a worktree and a branch for each NAME, or for each task of a plan, and start an agent session in it.

    What the cap does not allow to run now waits, and starts by itself. Returns at once.
    """
    site = require_own(discover())
    context = Context(site)
    if source:
        given = {
            "a NAME": names,
            "--task": task,
            "--prompt-file": prompt_file,
            "--base": base,
            "--branch": branch,
            "--after": after,
            "--no-launch": no_launch,
        }
        _from_plan(context, source, grain, [word for word, value in given.items() if value], dry_run, as_json)
        return
    if not names:
        raise BadInputError("spawn needs a NAME, or a plan", "`loki-hooks spawn auth --task '…'`, or --plan tasks.md")
    text = task_text(task, prompt_file)
    for warning in context.config.working.warnings:
        say(warning)
    request = Request(
        names,
        task=text,
        kind=kind,
        agent=agent,
        base=base,
        branch=branch,
        after=after,
        priority=priority,
        launch=not no_launch,
        tmux=tmux,
        stages=tuple(word.strip() for word in stages.split(",")) if stages else (),
    )
    if tmux:
        require_tmux()
    if dry_run:
        previews = [preview(context, record) for record in plan_streams(context, request)]
        if as_json:
            answer_json(previews)
        else:
            for shown in previews:
                answer(f"{shown['stream']}: {shown['branch']} in {shown['path']} from {shown['base'][:12]}")
                answer(f"  runs {shlex.join(shown['argv'])}")
                answer("  with this prompt:\n" + textwrap.indent(shown["prompt"], "    "))
        return
    if not (text.strip() or no_launch) and needs_task(context, kind, agent):
        plan_streams(context, request)  # what is wrong with the rest is said first
        request = replace(request, task=ask_for_task(names))
    if site.in_linked_worktree:
        say(f"working on {site.root}, the main worktree of the one you are in")
    made = do_spawn(context, request, say=say)
    if as_json:
        answer_json([m.to_json() for m in made])
    else:
        _show(made)
    if any(m.error for m in made):
        sys.exit(1)


def _where(made: Spawned) -> str:
    return "it begins when its turn comes" if made.status == "planned" else f"cd {made.path}"


def _from_plan(context: Context, source: str, grain: str, given: list[str], dry_run: bool, as_json: bool) -> None:
    """Enter a plan's tasks. ``given``: what else was said, which the plan says itself."""
    if given:
        raise BadInputError(f"--plan and {given[0]} exclude each other", "the plan says that of each of its tasks")
    if dry_run:
        show_plan(look(context, source, grain), as_json=as_json)
        return
    made = enter(context, source, grain)
    if as_json:
        answer_json([m.to_json() for m in made])
    elif made:
        _show(made)
    else:
        say("there is nothing new in the plan")


def _show(made: list[Spawned]) -> None:
    table(
        ("STREAM", "STATUS", "BRANCH", "LOOK IN"),
        [(m.stream, m.status, m.branch, m.error or _where(m)) for m in made],
    )
    begun = [m for m in made if m.status in {"running", "queued"}]
    if begun:
        name = shlex.quote(begun[0].name)
        say(f"`loki-hooks status` shows how it goes, `loki-hooks logs {name} -f` what a session prints")
