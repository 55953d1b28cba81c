"""Have a pass made in the background, and go on at once."""

from __future__ import annotations

from loki_hooks.domain.work import ReconcileWork
from loki_hooks.system.processes.detach import worker_argv
from loki_hooks.system.processes.run import scrubbed
from loki_hooks.system.processes.start import start_detached
from loki_hooks.system.site import Site


def wake(site: Site, trigger: str) -> None:
    """Start a pass because of ``trigger``."""
    start_detached(worker_argv(ReconcileWork(trigger, "native", str(site.here))), cwd=site.root, env=scrubbed())
