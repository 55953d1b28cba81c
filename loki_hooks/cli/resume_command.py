"""`loki-hooks resume`: go on with a stream that ended unfinished."""

from __future__ import annotations

import click

from loki_hooks.actions.context import Context
from loki_hooks.actions.requests.resume import resume_stream
from loki_hooks.actions.sessions.tmux import require_tmux
from loki_hooks.cli.console import say
from loki_hooks.cli.task_text import task_text
from loki_hooks.domain.names import nearest, shown
from loki_hooks.domain.streams.status import WORDS, Status
from loki_hooks.errors import BadInputError
from loki_hooks.system.processes.alive import is_alive
from loki_hooks.system.site import require_enabled


@click.command("resume")
@click.argument("name")
@click.option("--task", default="", help="What to do now, beside what the stream was begun for.")
@click.option("--prompt-file", default="", metavar="F", help="Read that from a file ('-': from standard input).")
@click.option("--agent", default="", help="Go on with another agent.")
@click.option(
    "--tmux", is_flag=True, help="Run the session on a terminal in tmux; `loki-hooks logs NAME` says how to attach."
)
def resume(name: str, task: str, prompt_file: str, agent: str, tmux: bool) -> None:
    """Start a session again in the stream NAME, which failed, was stopped, rejected or escalated, conflicts, or was kept.

    It works where the last one stopped, or in a new worktree on its branch, and is told what is there already.
    """
    text = task_text(task, prompt_file)
    context = Context(require_enabled())
    agents = context.config.working.agents
    if agent and agent not in agents:
        near = nearest(agent, agents)
        raise BadInputError(
            f"there is no agent called {shown(agent)}",
            (f"did you mean {near}? " if near else "") + f"known are {', '.join(sorted(agents))}",
        )
    if tmux:
        require_tmux()
    record = resume_stream(context, name, task=text, agent=agent, tmux=tmux)
    begins = record.status is Status.QUEUED and is_alive(record.claim)  # its runner is there, and takes it in a moment
    how = "its session begins" if begins else WORDS[record.status]
    say(f"{record.stream}: {how}{f' ({record.reason})' if record.reason else ''}; in {record.path}")
    say(f"`loki-hooks logs {record.name} -f` shows what it prints")
