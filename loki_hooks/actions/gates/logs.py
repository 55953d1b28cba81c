"""The whole output of a gate that did not pass, kept by tree until retention takes it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from loki_hooks.system.site import Site


def log_of(site: Site, tree: str, gate: str) -> Path:
    """Return where the whole output of a gate that did not pass on a tree is kept."""
    return site.loki / "logs" / f"gate-{tree[:20]}-{gate}.log"


def keep_log(log: Path, kept: Path) -> None:
    """Keep a run's log: the next run of the gate begins a new one."""
    with contextlib.suppress(OSError):  # it only shows; the end of it is in the result
        kept.unlink(missing_ok=True)
        os.link(log, kept)
