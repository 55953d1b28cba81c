"""Run one command to its end, and end everything that it started: for gates and set-ups.

The command runs below a keeper (`keeper.py`), with a mark in its environment; `session_tree` finds its processes by both. What it
left running has ended when ``supervise`` returns: a daemon would work on in files that another run uses. Its output is
copied as it comes.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from loki_hooks.system.processes.alive import identify, myself
from loki_hooks.system.processes.run import SESSION_MARK
from loki_hooks.system.processes.session_tree import SessionTree
from loki_hooks.system.processes.start import start_kept

_LOOK = 0.1
_DRAIN = 1.0
_GRACE = 2.0
"""Seconds: how often the command is looked at; how long its output is read on after its end, should somebody hold it; between
TERM and KILL."""
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status (negative for a signal), and whether its time was over."""

    code: int
    timed_out: bool = False


class Output:
    """Where a command's output goes: to ``sink`` and ``echo`` whole; its last ``keep`` bytes are ``text``."""

    def __init__(self, sink: BinaryIO, *, echo: Callable[[str], None] | None = None, keep: int = 0) -> None:
        self._sink, self._echo, self._keep = sink, echo, keep
        self._kept = bytearray()
        self._open = True

    @property
    def text(self) -> str:
        return self._kept.decode("utf-8", "replace")

    def copy(self, pipe: int, seconds: float) -> bool:
        """Wait at most so long for output and copy what there is; return whether there was any."""
        if not self._open:
            time.sleep(seconds)
            return False
        if not select.select([pipe], [], [], seconds)[0]:
            return False
        chunk = os.read(pipe, _CHUNK)
        self._open = bool(chunk)
        with contextlib.suppress(OSError):  # a full disk costs the log, not the run
            self._sink.write(chunk)
            self._sink.flush()
        if self._keep:
            self._kept += chunk
            del self._kept[: -self._keep]
        if self._echo is not None and chunk:
            self._echo(chunk.decode("utf-8", "replace"))
        return bool(chunk)


def supervise(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    mark: str,
    output: Output,
    timeout: float,
    stop: threading.Event | None = None,
    begun: Callable[[int], None] = lambda _: None,
) -> Ended:
    """Run the command for at most ``timeout`` seconds, or until ``stop`` is set; ``begun`` is told its keeper's pid.

    Raises ``LokiError`` when the program cannot be started.
    """
    kept = start_kept(argv, cwd=cwd, env={**env, SESSION_MARK: mark})
    tree = SessionTree(myself(), mark=mark, keepers=[who] if (who := identify(kept.child.pid)) else [])
    deadline = time.monotonic() + timeout
    timed_out = False
    assert kept.child.stdout is not None
    with kept.child.stdout as pipe:
        try:
            begun(kept.child.pid)
            while not kept.ended():
                output.copy(pipe.fileno(), _LOOK)
                timed_out = time.monotonic() > deadline
                if timed_out or (stop is not None and stop.is_set()):
                    _end(tree, lambda: output.copy(pipe.fileno(), _LOOK))
                    break
        finally:
            clean = tree.end()
            with contextlib.suppress(OSError):
                upto = time.monotonic() + _DRAIN
                while output.copy(pipe.fileno(), 0) and time.monotonic() < upto:
                    continue
            code = kept.let_go(stay=not clean)  # the next run finds by it whom we could not end
    return Ended(code, timed_out)


def _end(tree: SessionTree, meanwhile: Callable[[], object]) -> None:
    """End the command while its last words are copied."""
    ending = threading.Thread(target=tree.end, kwargs={"grace": _GRACE})
    ending.start()
    while ending.is_alive():
        meanwhile()
