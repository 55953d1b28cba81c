"""What goes wrong in a worker, kept in ``logs/hooks.log``."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from loki_hooks.domain.work import Work
from loki_hooks.errors import LokiError
from loki_hooks.system.site import discover
from loki_hooks.system.store.fault_log import log_fault


def log_error(work: Work, error: Exception, about: str = "") -> None:
    """Log the error, if the folder that the work is in is still there. ``about``: what it was at; default: its first word."""
    worker, kind, first = work.words()[:3]
    folder = Path(work.folder)
    if work.folder and folder.is_dir():
        with suppress(LokiError, OSError):
            log_fault(discover(folder), f"{worker} {kind} {about or first}", error)
