"""Look who asks: the calling process, those that started it, and the sessions that live (`domain/asker.py` decides).

On Linux a process whose parent ended is found through the session's runner, which adopts it. Elsewhere the parents that
are there and the environment are all there is: a process that left both behind counts as the user's. Nobody is told from the
user who has the user's terminal (a tmux server of the user's, say) or who edits the records: an agent runs as its user.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.system.processes.ancestry import (
    WORK_MARK,
    ancestors,
    marked_by,
    own_pid,
    started_with,
    terminal_of,
    variable,
    worker_of,
)

if TYPE_CHECKING:
    from loki_hooks.domain.asker import Asker, Kin
    from loki_hooks.domain.streams.state import State
    from loki_hooks.domain.work import Work
    from loki_hooks.system.site import Site


def who_asks(site: Site) -> Asker:
    """Return whether the user asks, or a session of this repository."""
    from loki_hooks.domain.asker import Caller, who
    from loki_hooks.system.store.state import StateStore

    pid = own_pid()
    chain, whole = ancestors(pid)
    root = str(site.root)
    state = StateStore(site).read()
    sessions = {
        process: record.stream
        for record in state.streams.values()
        for process in (record.session, record.agent_process)
        if process is not None
    }
    kin = tuple(_kin(of, started, root) for of, started in chain)
    return who(Caller(kin, whole, os.environ.get("LOKI_STREAM", ""), _inside(state, pid)), sessions)


def in_session(site: Site) -> bool:
    """Return whether a session asks: its word is not the user's."""
    from loki_hooks.domain.asker import SessionAsks

    return isinstance(who_asks(site), SessionAsks)


def _kin(pid: int, started: str, root: str) -> Kin:
    from loki_hooks.domain.asker import Kin
    from loki_hooks.domain.streams.record import ProcessId

    work = worker_of(pid)
    environment = started_with(pid)
    return Kin(
        ProcessId(pid, started),
        stream=marked_by(environment, root),
        worker=work if work is not None and _is_of(work, root) else None,
        ours=work is not None or bool(variable(environment, WORK_MARK)),
    )


def _is_of(work: Work, root: str) -> bool:
    """Whether a worker works for the repository at ``root``; a pass begins in any of its worktrees."""
    from loki_hooks.domain.work import ReconcileWork

    return work.names(root) or isinstance(work, ReconcileWork)


def _inside(state: State, pid: int) -> str:
    """Return the stream of a living session that we are in by our folder, unless a terminal of our own says otherwise."""
    from loki_hooks.system.processes.alive import is_alive

    try:
        here = Path.cwd()
    except OSError:  # it is gone
        return ""
    for record in state.streams.values():
        if not record.path or not here.is_relative_to(os.path.realpath(record.path)) or not is_alive(record.session):
            continue
        terminal = terminal_of(pid)
        agent = record.agent_process
        if not terminal or (is_alive(agent) and agent is not None and terminal == terminal_of(agent.pid)):
            return record.stream
    return ""
