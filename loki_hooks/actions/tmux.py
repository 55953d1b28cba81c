"""Show a session in tmux, where a person can attach to it, watch it, and leave again.

The runner is the same detached process as without tmux, and its log is the truth: the tmux session shows that log as it
grows, and closes when the session has ended. So whatever becomes of tmux, or of a terminal in it, the agent does not notice.
"""

from __future__ import annotations

import re
import shlex
import shutil

from loki_hooks.actions.context import Context
from loki_hooks.domain.streams import StreamRecord
from loki_hooks.errors import LokiError, RefusedError
from loki_hooks.system import events
from loki_hooks.system.processes import run, scrubbed, worker_argv

TMUX = "tmux"
_TIMEOUT = 10.0


def require_tmux() -> None:
    """Raise ``RefusedError`` where there is no tmux."""
    if shutil.which(TMUX, path=scrubbed().get("PATH")) is None:
        raise RefusedError("--tmux needs tmux, which is not on PATH", "install tmux, or leave --tmux out")


def tmux_name(context: Context, record: StreamRecord) -> str:
    """Return the tmux session's name; tmux gives ``.`` and ``:`` a meaning of their own."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", f"loki-{context.site.project}-{record.stream}")


def attach_command(context: Context, record: StreamRecord) -> str:
    """Return what a person types to attach."""
    return f"{TMUX} attach -t {shlex.quote('=' + tmux_name(context, record))}"


def is_shown(context: Context, record: StreamRecord) -> bool:
    """Return whether the stream's tmux session is there."""
    try:
        done = run(
            [TMUX, "has-session", "-t", f"={tmux_name(context, record)}"], cwd=context.site.root, timeout=_TIMEOUT
        )
    except LokiError:
        return False
    return done.returncode == 0


def show_in_tmux(context: Context, record: StreamRecord) -> None:
    """Open the tmux session. What goes wrong with that costs the view, not the session; it is an event."""
    name = tmux_name(context, record)
    viewer = shlex.join(worker_argv("logs", record.stream, "--follow"))
    try:
        if is_shown(context, record):  # of a run before
            run([TMUX, "kill-session", "-t", f"={name}"], cwd=context.site.root, timeout=_TIMEOUT)
        done = run(
            [TMUX, "new-session", "-d", "-s", name, "-c", str(context.site.root), viewer],
            cwd=context.site.root,
            timeout=_TIMEOUT,
        )
        problem = "" if done.returncode == 0 else done.error_text.strip()[-200:]
    except LokiError as error:
        problem = error.message
    events.record(
        context.site,
        "tmux-failed" if problem else "tmux-opened",
        record.stream,
        detail=problem,
        evidence={"session": name},
    )
