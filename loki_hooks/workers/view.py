"""Show a session's terminal in this one: what runs in a tmux pane."""

from __future__ import annotations

from contextlib import suppress

from loki_hooks.domain.work import ViewWork
from loki_hooks.system.processes.terminal import view


def show(work: ViewWork) -> None:
    """Show it until the session is over, or this terminal is."""
    with suppress(OSError):  # the session is over
        view(work.address)
