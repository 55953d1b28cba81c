"""Streams that wait: for a time (their agent's provider takes them again later), or for a person.

Nothing else may happen until then, so while such a stream is there one process of ours waits for it (a kernel lock says
which), and has a pass made when the time has come, or when what people change has changed. If it is killed, the next pass of
anybody starts another.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.domain.streams.failures import GIVE_UP
from loki_hooks.domain.streams.record import waits_for_person
from loki_hooks.domain.streams.status import Status
from loki_hooks.domain.work import TurnsWork
from loki_hooks.errors import LokiError
from loki_hooks.system.clock import now, seconds_since
from loki_hooks.system.config.trust import trust_file
from loki_hooks.system.git.git import Git, list_worktrees
from loki_hooks.system.git.operations import git_dir_of, operation_in
from loki_hooks.system.git.status import ask
from loki_hooks.system.locks import try_hold
from loki_hooks.system.processes.detach import worker_argv
from loki_hooks.system.processes.run import scrubbed
from loki_hooks.system.processes.start import start_detached

LOCK = "turns.lock"
LOOK = 2.0
"""Seconds between two looks at what waits, which may have changed meanwhile."""


def waits_for_a_time(context: Context, since: str = "") -> float | None:
    """Return the seconds until something may be tried again, None when nothing waits for a time.

    That is a queued stream whose provider turned it away, and what failed and was not given up.

    ``since``: what was not over at that time counts as waiting (default: now).
    """
    at = since or now()
    records = context.store.read().streams.values()
    times = [r.not_before for r in records if r.status is Status.QUEUED and r.not_before > at]
    times += [f.not_before for r in records for f in r.failures.values() if f.times < GIVE_UP and f.not_before > at]
    ages = [seconds_since(time) for time in times]
    return min((max(0.0, -age) for age in ages if age is not None), default=None)


def waits_for_somebody(context: Context) -> bool:
    """Return whether a stream waits for what a person does in a worktree, or says."""
    records = context.store.read().streams.values()
    return any(waits_for_person(r) and r.status is not Status.OPEN for r in records)  # that is looked at by passes


def what_people_change(context: Context) -> tuple[str, ...]:
    """Return what a waiting stream may wait for, as text to compare: where branches and worktrees stand, which operations
    are under way, what is uncommitted where the integration branch is checked out, and whom the user trusts.
    """
    git = context.git
    seen = [*git.refs("refs/heads/").values(), _time_of(trust_file())]
    for entry in list_worktrees(git):
        seen.append(f"{entry.path} {entry.branch} {entry.head}")
        with suppress(LokiError, OSError):
            git_dir = git_dir_of(entry.path)
            seen.append(f"{operation_in(git_dir)} {os.path.lexists(git_dir / 'index.lock')}")
            if entry.branch == context.integration and not entry.bare:
                done = ask(Git(entry.path), "--porcelain=v1", "--no-renames", "--untracked-files=all")
                seen.append(f"{done.returncode} {done.text}")
    return tuple(seen)


def _time_of(path: Path) -> str:
    try:
        return str(path.stat().st_mtime_ns)
    except OSError:
        return ""


def see_to_turns(context: Context, since: str = "") -> None:
    """Have a process wait, if a stream waits and nobody waits for it yet. ``since``: when it was last looked at."""
    if waits_for_a_time(context, since) is None and not waits_for_somebody(context):
        return
    free = try_hold(context.site.private / LOCK)
    if free is not None:
        free.release()
        start_detached(worker_argv(TurnsWork(str(context.site.root))), cwd=context.site.root, env=scrubbed())
