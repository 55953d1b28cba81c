"""Run a project's own set-up in a worktree, once per content of its lock file."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.domain.config import Environment
from loki_hooks.domain.gates import command_text, tail_of
from loki_hooks.errors import LokiError
from loki_hooks.system import environment as env_files
from loki_hooks.system.files import open_fresh, read_plain, write_atomic
from loki_hooks.system.processes import kill_group, start_child
from loki_hooks.system.setup_made import ignored_paths, remember_made
from loki_hooks.system.worktrees import git_dir_of

TIMEOUT = 1800.0


def run_setup(context: Context, worktree: Path, environment: Environment, *, stream: str, branch: str,
              values: Mapping[str, str], log: Path, stop: threading.Event | None = None) -> str:
    """Run what `environment.setup` asks for unless it was done for the same inputs; return what was seen ('' for nothing).

    Raises ``LokiError`` with the tail of the output when a command fails or is stopped.
    """
    plan = env_files.plan_setup(worktree, environment)
    if plan is None:
        return ""
    marker = git_dir_of(worktree) / "loki-setup"
    key = plan.key(worktree)
    if (read_plain(marker) or b"").decode("ascii", "replace").strip() == key:
        return plan.why
    deadline = time.monotonic() + TIMEOUT
    before = ignored_paths(worktree)
    with open_fresh(log) as sink:
        for argv in plan.commands:
            env = env_files.variables(worktree, main=context.site.root, stream=stream, branch=branch,
                                      environment=environment, values=values)
            env_files.require_program(argv, env, f"set-up ({plan.why})")
            sink.write(f"$ {command_text(argv)}\n".encode())
            sink.flush()
            child = start_child(argv, cwd=worktree, env=env, output=sink)
            while child.poll() is None:
                if time.monotonic() > deadline or (stop is not None and stop.is_set()):
                    kill_group(child.pid, grace=2)
                    child.wait()
                    raise LokiError(f"`{command_text(argv)}` was stopped", f"its output is in {log}")
                time.sleep(0.05)
            env_files.hide_venv(worktree)
            if child.returncode != 0:
                output = (read_plain(log) or b"").decode("utf-8", "replace")
                raise LokiError(f"`{command_text(argv)}` ended with exit status {child.returncode}", tail_of(output, 15))
    remember_made(worktree, before)
    write_atomic(marker, key + "\n")
    return plan.why
