"""Show a session in tmux, where a person can attach to it, watch it, type to its agent, and leave again.

The runner is the same detached process as without tmux, and log, exit status, time and processes are its own: it gives the
agent a terminal, and the tmux session is a view of that, which closes when the session has ended. So whatever becomes of
tmux, or of a terminal in it, the agent does not notice.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
from collections.abc import Iterator

from loki_hooks.actions.context import Context
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.work import ViewWork
from loki_hooks.errors import LokiError, RefusedError, reason_in
from loki_hooks.system.processes.ancestry import WORK_MARK
from loki_hooks.system.processes.detach import worker_argv
from loki_hooks.system.processes.run import run, scrubbed
from loki_hooks.system.processes.terminal import Terminal
from loki_hooks.system.store import events

TMUX = "tmux"
TERM = "screen-256color"
"""What tmux's panes are, known to every terminfo."""
_TIMEOUT = 10.0


def require_tmux() -> None:
    """Raise ``RefusedError`` where there is no tmux."""
    if shutil.which(TMUX, path=scrubbed().get("PATH")) is None:
        raise RefusedError("--tmux needs tmux, which is not on PATH", "install tmux, or leave --tmux out")


def tmux_name(context: Context, record: StreamRecord) -> str:
    """Return the tmux session's name; tmux gives ``.`` and ``:`` a meaning of their own."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", f"loki-{context.site.project}-{record.stream}")


def attach_command(context: Context, record: StreamRecord) -> str:
    """Return what a person types to see it: zsh expands a word that begins with an unquoted ``=``, and tmux nests no tmux."""
    verb = "switch-client" if os.environ.get("TMUX") else "attach"
    return f"{TMUX} {verb} -t '={tmux_name(context, record)}'"


def is_shown(context: Context, record: StreamRecord) -> bool:
    """Return whether the stream's tmux session is there."""
    try:
        done = run(
            [TMUX, "has-session", "-t", f"={tmux_name(context, record)}"], cwd=context.site.root, timeout=_TIMEOUT
        )
    except LokiError:
        return False
    return done.returncode == 0


@contextlib.contextmanager
def shown_terminal(context: Context, record: StreamRecord) -> Iterator[Terminal | None]:
    """Give the session's agent a terminal, shown in tmux, where that is wanted and can be; else None.

    What goes wrong with that costs the view, not the session; it is an event.
    """
    if not record.tmux:
        yield None
        return
    terminal: Terminal | None = None
    try:
        terminal = Terminal()
        problem = _open(context, record, terminal.address)
    except (LokiError, OSError) as error:
        problem = error.message if isinstance(error, LokiError) else str(error)
    events.record(
        context.site,
        "tmux-failed" if problem else "tmux-opened",
        record.stream,
        detail=problem,
        evidence={"session": tmux_name(context, record)},
    )
    try:
        yield None if problem else terminal
    finally:
        if terminal is not None:
            terminal.close()


def _open(context: Context, record: StreamRecord, address: str) -> str:
    """Open the tmux session; return what went wrong, '' for nothing."""
    name = tmux_name(context, record)
    if is_shown(context, record):  # of a run before
        run([TMUX, "kill-session", "-t", f"={name}"], cwd=context.site.root, timeout=_TIMEOUT)
    viewer = shlex.join(worker_argv(ViewWork(address)))
    done = run(
        [TMUX, "new-session", "-d", "-s", name, "-c", str(context.site.root), viewer],
        cwd=context.site.root,
        # of its server, perhaps, which is the user's from then on, whoever's orphan it is
        env={key: value for key, value in scrubbed().items() if not key.startswith("LOKI_")} | {WORK_MARK: "1"},
        timeout=_TIMEOUT,
    )
    return "" if done.returncode == 0 else reason_in(done.error_text)
