"""Run a project's own set-up in a worktree, once per content of its lock file."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from loki_hooks.actions.context import Context
from loki_hooks.domain.config import Environment
from loki_hooks.domain.gates.results import command_text, tail_of
from loki_hooks.errors import LokiError
from loki_hooks.system.files import open_fresh, read_plain, write_atomic
from loki_hooks.system.git.operations import git_dir_of
from loki_hooks.system.processes.alive import myself
from loki_hooks.system.processes.session_tree import end_runs_for, mark_of
from loki_hooks.system.processes.supervise import Output, supervise
from loki_hooks.system.worktrees import environment as env_files
from loki_hooks.system.worktrees import variables
from loki_hooks.system.worktrees.secrets import scrubber_for
from loki_hooks.system.worktrees.setup_made import (
    DONE,
    forget_made,
    hide_tools_own,
    ignored_paths,
    is_usable,
    remember_made,
    untracked_paths,
)

TIMEOUT = 1800.0


def run_setup(
    context: Context,
    worktree: Path,
    environment: Environment,
    *,
    stream: str,
    branch: str,
    values: Mapping[str, str],
    log: Path,
    ports: tuple[int, ...] = (),
    stop: threading.Event | None = None,
    mark: str = "",
) -> str:
    """Run what `environment.setup` asks for unless it was done for the same inputs and is still there; return
    what was seen, or ''.

    What a command left running ends with it: the next one, for the same inputs, is not run, and would not start it again.
    ``mark`` names the session, or the gate's run, that it belongs to, in its processes' environment. Raises ``LokiError``
    with the tail of the output when a command fails or is stopped.
    """
    plan = env_files.plan_setup(worktree, environment)
    if plan is None:
        return ""
    marker = git_dir_of(worktree) / DONE
    key = env_files.setup_key(plan, worktree)
    if (read_plain(marker) or b"").decode("ascii", "replace").strip() == key and is_usable(worktree):
        return plan.why
    forget_made(worktree)
    if not mark:
        end_runs_for(worktree, none_is_on=False)
    deadline = time.monotonic() + TIMEOUT
    before, strewn = ignored_paths(worktree), untracked_paths(worktree)
    with open_fresh(log) as sink:
        if context.site.main is not None and (warm := env_files.warm_up(context.site.main, worktree, plan.warm)):
            _note(sink, f"# cloned from the main worktree: {', '.join(warm)}")
        for step in plan.steps:
            env = variables.variables(
                worktree,
                main=context.site.root,
                stream=stream,
                branch=branch,
                environment=environment,
                values=values,
                ports=ports,
            ) | dict(plan.env)
            where = worktree / step.folder
            if step.folder:
                env |= variables.places_in(where)
            if step.optional and env_files.is_missing(step.argv, env, where):
                _note(sink, f"# left out, as {step.argv[0]} is not here: {command_text(step.argv)}")
                continue
            env_files.require_program(step.argv, env, f"set-up ({plan.why})")
            _note(sink, f"$ {f'cd {step.folder} && ' if step.folder else ''}{command_text(step.argv)}")
            ended = supervise(
                step.argv,
                cwd=where,
                env=env,
                mark=mark or mark_of(myself(), "set-up"),
                output=Output(sink),
                timeout=deadline - time.monotonic(),
                stop=stop,
            )
            if ended.timed_out or (stop is not None and stop.is_set()):
                raise LokiError(f"`{command_text(step.argv)}` was stopped", f"its output is in {log}")
            env_files.hide_made(worktree, step.folder)
            hide_tools_own(worktree, strewn)
            if ended.code != 0 and step.optional:
                _note(sink, f"# exit status {ended.code}: nothing depends on it")
            elif ended.code != 0:
                output = (read_plain(log) or b"").decode("utf-8", "replace")
                shown = scrubber_for((context.site.main, worktree), (environment,), env).scrub(output)
                raise LokiError(f"`{command_text(step.argv)}` ended with exit status {ended.code}", tail_of(shown, 15))
    remember_made(worktree, before, strewn)
    write_atomic(marker, key + "\n")
    return plan.why


def _note(sink: BinaryIO, line: str) -> None:
    sink.write(f"{line}\n".encode("utf-8", "surrogateescape"))
    sink.flush()
