"""From an agent's configuration to the words that start it, and what a prompt says of the run before.

The prompt goes in as one argument, or as a file, never through a shell. What the kernel does not take as one argument
is left in its file, and the prompt becomes a sentence that names it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

from loki_hooks.domain.names import fill, shown
from loki_hooks.domain.sessions.agents import Agent, Command, Launch
from loki_hooks.errors import BadInputError

MAX_ARGUMENT = 120_000
"""Bytes. Linux takes 128 KiB as one argument (execve(2), MAX_ARG_STRLEN), wherever else there would be room."""
ARGS = "{args}"


def words_of(command: Command) -> list[str]:
    """Return the command as an argument vector; a string is split as sh would split it, but no shell runs it."""
    return shlex.split(command) if isinstance(command, str) else list(command)


def agent_words(agent: Agent, launch: Launch, values: Mapping[str, str], dirs: Sequence[str]) -> list[str]:
    """Return the argument vector. ``values`` are the placeholders of the command, ``dirs`` the folders to read.

    Raises ``BadInputError`` where something was configured that this agent has no place for.
    """
    command = words_of(agent.command)
    model_in_command = any("{model}" in word for word in command)
    if model_in_command and not launch.model:
        raise BadInputError(f"the agent {agent.name} needs a model", 'set one: [session] model = "…"')
    extra: list[str] = []
    if launch.model and not model_in_command:
        if not agent.model_args:
            raise BadInputError(
                f"the agent {agent.name} is given the model {shown(launch.model)} and has no place for it",
                f'say how it takes one: [agents.{agent.name}] model_args = ["--model", "{{model}}"]',
            )
        extra += [fill(word, {"model": launch.model}) for word in agent.model_args]
    if dirs and not agent.read_args:
        raise BadInputError(
            f"the agent {agent.name} is given folders to read and has no place for them",
            f'say how it takes one: [agents.{agent.name}] read_args = ["--add-dir", "{{dir}}"]',
        )
    for folder in dirs:
        extra += [fill(word, {"dir": folder}) for word in agent.read_args]
    extra += [fill(word, values) for word in launch.args]
    if extra and ARGS not in command:
        raise BadInputError(
            f"the agent {agent.name} is given more arguments, and its command has no place for them",
            f'put the word "{ARGS}" into [agents.{agent.name}] command, where they belong',
        )
    filled = {**values, "model": launch.model}
    argv: list[str] = []
    for word in command:
        argv += extra if word == ARGS else [fill(word, filled)]
    return argv


def as_argument(text: str, path: str) -> str:
    """Return what stands for ``text`` in an argument vector: itself, or where it is too long a word about its file."""
    if len(text.encode("utf-8", "surrogatepass")) <= MAX_ARGUMENT:
        return text
    return f"Your instructions are in the file {path}. Read that whole file first, then do what it says."


OWN_WORK = frozenset({"testing", "qa", "docs", "blog"})
"""Kinds whose prompts say what to do without a task."""


def takes_task(command: Command) -> bool:
    """Return whether an agent is told what to do by its command line: one of a fixed command needs no task."""
    return any("{task}" in word or "{prompt" in word for word in words_of(command))


def templates_for(kind: str, stage: str) -> tuple[str, ...]:
    """Return the names of the templates that fit, best first."""
    return (f"{kind}-{stage}.md.j2", f"{stage}.md.j2", "build.md.j2")


def fenced(text: str, *, lines: int = 60, width: int = 300, end: bool = True) -> str:
    """Return the end (or the beginning) of ``text`` as an indented block: nothing in it passes for the prompt's own words."""
    whole = text.rstrip().splitlines()
    last = whole[-lines:] if end else whole[:lines]
    return "\n".join(
        "    " + "".join(c if c.isprintable() or c == "\t" else "?" for c in line[:width]) for line in last
    )


def listed(items: Iterable[str], most: int = 20) -> list[str]:
    """Return at most ``most`` of the items, and how many more there are."""
    found = list(items)
    return found if len(found) <= most else [*found[:most], f"… and {len(found) - most} more"]
