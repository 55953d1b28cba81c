"""Make a pass after a hook, a signal, or so much time."""

from __future__ import annotations

from pathlib import Path

from loki_hooks.actions.reconcile.run import reconcile
from loki_hooks.domain.streams.record import ProcessId
from loki_hooks.domain.work import ReconcileWork
from loki_hooks.system.processes.alive import wait_until_gone
from loki_hooks.system.site import Site, discover

PATIENCE = 3600.0
"""Seconds that a pass waits for what it shall come after."""


def run_pass(work: ReconcileWork) -> None:
    """Make a pass once git, and the framework that ran it, have gone: until then the tree is not the user's."""
    if not wait_until_gone([ProcessId(*who) for who in work.waits_for], PATIENCE):
        return
    site = _site(work.folder)
    if work.framework != "native" and not site.enabled:
        site.enable(work.framework)  # being run by pre-commit or prek turns loki-hooks on
    if site.enabled:
        reconcile(site)


def _site(folder: str) -> Site:
    """Return the site of the folder, or, where the worktree is gone meanwhile, of the first parent that has one."""
    path = Path(folder)
    while not path.is_dir() and path != path.parent:
        path = path.parent
    return discover(path)
