"""Marks: how whoever finds a pass running has it go round again, without waiting for it.

    <common>/loki/again               somebody wants a pass
    <common>/loki/again-trusted       somebody whose environment trusts everything does: only such a pass is enough
    <common>/loki/again….taken        a pass is seeing to it

A mark is written before the lock is tried and taken (renamed) before facts are gathered, so no wish is lost between
the two: a pass that ended saw it, or its writer gets the lock. What a killed pass had taken is still there, and counts.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from loki_hooks.system.files import write_atomic
from loki_hooks.system.site import Site


@dataclass(frozen=True)
class PassMarks:
    """The marks of one site, as a process sees them that is ``trusted`` by its environment, or not."""

    site: Site
    trusted: bool

    def ask(self) -> None:
        """Say that a pass is wanted by somebody like us."""
        write_atomic(self._mark("again-trusted" if self.trusted else "again"), f"{os.getpid()}\n")

    def wanted(self) -> bool:
        """Return whether somebody waits for a pass that we can make. Call with the lock, or be ready to be late."""
        return any(path.exists() or _taken(path).exists() for path in self._ours())

    def take(self) -> None:
        """From here on, whoever asks anew wants another pass. Call before gathering facts."""
        for path in self._ours():
            with suppress(FileNotFoundError):
                path.replace(_taken(path))

    def settle(self) -> None:
        """What was taken has been seen to."""
        for path in self._ours():
            _taken(path).unlink(missing_ok=True)

    def _ours(self) -> list[Path]:
        return [self._mark("again"), *([self._mark("again-trusted")] if self.trusted else [])]

    def _mark(self, name: str) -> Path:
        return self.site.private / name


def _taken(path: Path) -> Path:
    return path.with_name(f"{path.name}.taken")
