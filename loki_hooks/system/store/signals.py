"""``.loki/signals/``: emit by temporary file and rename, consume by rename (of many consumers one wins)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loki_hooks.domain.streams.signals import SignalName, parse_signal
from loki_hooks.system.clock import now
from loki_hooks.system.files import entries, link_on_way, write_atomic
from loki_hooks.system.json import dump_json, read_json
from loki_hooks.system.site import LOKI, Site


@dataclass(frozen=True)
class Signal:
    """One signal file. ``body`` is empty for one that was merely touched."""

    name: SignalName
    path: Path
    body: Mapping[str, Any]

    @property
    def ours(self) -> bool:
        """Whether loki-hooks wrote it (an agent's `touch` leaves no body)."""
        return self.body.get("by") == "loki-hooks"


def signals_dir(site: Site) -> Path:
    return site.folder("signals")


def emit(site: Site, name: SignalName, body: Mapping[str, Any]) -> Path:
    """Write the signal and return its path. ``body``: stream, branch, worktree, commit, tree; more may stand beside."""
    path = signals_dir(site) / name.file
    write_atomic(path, dump_json({**body, "timestamp": now(), "by": "loki-hooks"}), mode=0o600)
    return path


def listed(folder: Path) -> list[Signal]:
    """Return the signals in ``folder``, by name. Links, folders and FIFOs are no signals."""
    found = []
    for entry in entries(folder):
        name = parse_signal(entry.name)
        if name is None or not entry.is_file(follow_symlinks=False):
            continue
        body = read_json(Path(entry.path))
        found.append(Signal(name, Path(entry.path), body if isinstance(body, dict) else {}))
    return found


def own_signals_dir(worktree: Path) -> Path:
    """Return where an agent in a linked worktree touches its signals."""
    return worktree / LOKI / "signals"


def consume(path: Path) -> bool:
    """Take the signal away; return whether this caller was the one who got it."""
    taken = path.with_name(f".{path.name}.{os.getpid()}.taken")
    if link_on_way(path.parent) is not None:
        return False
    if path.is_dir() and not path.is_symlink():  # a folder is no signal, and can hold somebody's work
        return False
    try:
        path.rename(taken)
    except OSError:
        return False
    taken.unlink(missing_ok=True)
    return True


def clear(site: Site, name: SignalName) -> bool:
    """Remove the signal from the site's folder; return whether it was there."""
    return consume(site.loki / "signals" / name.file)
