"""`loki-hooks spawn`: start agent sessions, each in a worktree of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from loki_hooks.actions.context import Context
from loki_hooks.actions.spawn import Request, Spawned, plan_spawn, preview
from loki_hooks.actions.spawn import spawn as do_spawn
from loki_hooks.cli.console import answer, answer_json, say, table
from loki_hooks.errors import BadInputError
from loki_hooks.system.files import read_plain
from loki_hooks.system.site import discover

MAX_PROMPT = 1024 * 1024


@click.command("spawn")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--task", default="", help="What the streams shall do.")
@click.option("--prompt-file", default="", metavar="F", help="Read the task from a file ('-': from standard input).")
@click.option("--kind", default="feature", show_default=True, help="feature, testing, qa, docs, blog, or a configured one.")
@click.option("--agent", default="", help="The agent to run: claude, codex, gemini, aider, opencode, or a configured one.")
@click.option("--base", default="", metavar="REV", help="Begin at this commit instead of the integration branch.")
@click.option("--branch", default="", metavar="EXISTING", help="Work on this existing branch.")
@click.option("--after", multiple=True, metavar="NAME", help="Start only when this stream has landed (may be repeated).")
@click.option("--priority", default=0, show_default=True, help="Higher ones start and land first.")
@click.option("--no-launch", is_flag=True, help="Make the worktrees, start no session.")
@click.option("--dry-run", is_flag=True, help="Show what would be made and run; make nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print [{name, stream, branch, path, status, pid, error}].")
def spawn(names: tuple[str, ...], task: str, prompt_file: str, kind: str, agent: str, base: str, branch: str,
          after: tuple[str, ...], priority: int, no_launch: bool, dry_run: bool, as_json: bool) -> None:
    """Make a worktree and a branch for each NAME and start an agent session in it.

    What the cap does not allow to run now waits, and starts by itself. Returns at once.
    """
    if task and prompt_file:
        raise BadInputError("--task and --prompt-file exclude each other", "give one of them")
    site = discover()
    context = Context(site)
    for warning in context.config.working.warnings:
        say(warning)
    request = Request(names, task=_read_prompt(prompt_file) if prompt_file else task, kind=kind, agent=agent, base=base,
                      branch=branch, after=after, priority=priority, launch=not no_launch)
    if dry_run:
        previews = [preview(context, record) for record in plan_spawn(context, request)]
        if as_json:
            answer_json(previews)
        else:
            for shown in previews:
                answer(f"{shown['stream']}: {shown['branch']} in {shown['path']} from {shown['base'][:12]}")
                answer(f"  runs {shown['argv']}")
        return
    if site.in_linked_worktree:
        say(f"working on {site.root}, the main worktree of the one you are in")
    made = do_spawn(context, request, say=say)
    if as_json:
        answer_json([m.to_json() for m in made])
    else:
        _show(made)
    if any(m.error for m in made):
        sys.exit(1)


def _show(made: list[Spawned]) -> None:
    table(("STREAM", "STATUS", "BRANCH", "LOOK IN"),
          [(m.stream, m.status, m.branch, f"cd {m.path}" if not m.error else m.error) for m in made])
    if any(m.status in {"running", "queued"} for m in made):
        say("`loki-hooks status` shows how it goes, `loki-hooks logs NAME -f` what a session prints")


def _read_prompt(name: str) -> str:
    """Return the task in the file. Raises ``BadInputError`` for one that is missing, too large, or no text."""
    if name == "-":
        raw: bytes | None = sys.stdin.buffer.read(MAX_PROMPT + 1)
    else:
        path = Path(name)
        if not path.is_file():
            raise BadInputError(f"there is no file {name}", "--prompt-file takes a text file, or - for standard input")
        raw = read_plain(path.resolve(), limit=MAX_PROMPT)
    if raw is None or len(raw) > MAX_PROMPT:
        raise BadInputError(f"{name} is larger than {MAX_PROMPT} bytes", "a task is text that an agent can read")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInputError(f"{name} is not UTF-8 text", "a task is text") from error
    if "\0" in text:
        raise BadInputError(f"{name} is binary", "a task is text")
    return text
