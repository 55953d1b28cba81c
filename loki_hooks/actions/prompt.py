"""The prompt that a session gets, and the argument vector of its agent."""

from __future__ import annotations

import shlex
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.assets import template_text
from loki_hooks.domain.config import Command
from loki_hooks.domain.names import fill
from loki_hooks.domain.streams import StreamRecord
from loki_hooks.errors import BadInputError
from loki_hooks.system.files import write_atomic


def render_prompt(context: Context, record: StreamRecord) -> str:
    """Return the prompt of the stream's session (jinja2 over ``templates/prompts/``; the task is data, never a template)."""
    from jinja2 import Environment, StrictUndefined

    page = Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)  # noqa: S701  not HTML
    return page.from_string(template_text("prompts/build.md.j2")).render(
        task=record.task.text or f"Continue the work on {record.name}.", branch=record.branch, worktree=record.path,
        stream=record.stream, integration=context.integration,
    )


def prompt_file(context: Context, stream: str) -> Path:
    return context.site.folder("state", "prompts") / f"{stream}.md"


def agent_argv(context: Context, record: StreamRecord, prompt: str) -> list[str]:
    """Return the agent's argument vector; the prompt goes in as one argument, or as a file, never through a shell."""
    name = record.agent or context.config.working.session.agent
    agent = context.config.working.agents.get(name)
    if agent is None:
        raise BadInputError(f"there is no agent called {name!r}", "known are " + ", ".join(sorted(context.config.working.agents)))
    path = prompt_file(context, record.stream)
    write_atomic(path, prompt, 0o600)  # a task may hold what not everybody on the machine shall read
    values = {
        "prompt": prompt, "task": record.task.text, "prompt_file": str(path), "stream": record.stream, "name": record.name,
        "worktree": record.path, "branch": record.branch, "main": str(context.site.root),
    }
    return [fill(word, values) for word in words_of(agent.command)]


def words_of(command: Command) -> list[str]:
    """Return the command as an argument vector; a string is split as sh would split it, but no shell runs it."""
    return shlex.split(command) if isinstance(command, str) else list(command)
