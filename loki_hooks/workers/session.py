"""Run a stream's session, from its worktree's set-up to what follows its end."""

from __future__ import annotations

import threading
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.gates.run import on_signals
from loki_hooks.actions.reconcile.run import reconcile
from loki_hooks.actions.sessions import runner
from loki_hooks.domain.work import SessionWork
from loki_hooks.system.site import discover


def run_session(work: SessionWork) -> None:
    """Run the session, then make a pass. TERM, HUP and INT end the session in order."""
    site = discover(Path(work.folder))
    stop = threading.Event()
    on_signals(stop)
    runner.run_session(Context(site), work.stream, work.token, stop)
    reconcile(site, wait=60)
