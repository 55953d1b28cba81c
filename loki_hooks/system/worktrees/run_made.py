"""What a gate's run left ignored: it goes when the run is over, for it would decide what later runs see.

What was there when the command began stays: set-up made it, or a person put it there. So does what the gate names in ``keep``
(patterns of gitignore(5)). The note of a run that is on is in the gate worktree's git dir:

    loki-gate-ignored    {"keep": [pattern, …], "before": {submodule, '' for the worktree itself: [ignored path, …]}}
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from loki_hooks.system.files import entries, write_atomic
from loki_hooks.system.git.git import Git, split_z
from loki_hooks.system.git.operations import git_dir_of
from loki_hooks.system.git.submodules import checked_out
from loki_hooks.system.json import dump_json, read_json
from loki_hooks.system.site import LOKI
from loki_hooks.system.worktrees.setup_made import ignored_paths, made_by_setup

_NOTE = "loki-gate-ignored"
_AT_ONCE = 500
"""So many paths are named in one command line."""


def note_of_run(worktree: Path) -> Path:
    """Return where the note of a gate worktree is; it is there while a run is on, or what it left could not be removed."""
    return git_dir_of(worktree) / _NOTE


def note_what_is_there(worktree: Path, keep: Sequence[str]) -> None:
    """Remember what is ignored in a gate worktree now that its run begins."""
    before = {name: sorted(ignored_paths(folder)) for name, folder in _repositories(worktree)}
    write_atomic(note_of_run(worktree), dump_json({"keep": list(keep), "before": before}))


def remove_what_came(worktree: Path) -> None:
    """Remove what is ignored and was not there when the run began that is noted, if one is.

    Where something cannot be removed the note stays: nothing may be tested there.
    """
    note = note_of_run(worktree)
    value = read_json(note)
    clean = True
    if isinstance(value, dict) and isinstance(value.get("before"), dict) and isinstance(value.get("keep"), list):
        keep = [word for pattern in value["keep"] for word in ("-e", str(pattern))]
        for name, folder in _repositories(worktree):
            known = value["before"].get(name)
            there = {*(known if isinstance(known, list) else ()), *(made_by_setup(worktree) if not name else ())}
            came = [path for path in sorted(ignored_paths(folder) - there) if path.partition("/")[0] != LOKI]
            for start in range(0, len(came), _AT_ONCE):
                clean = _clean(folder, keep, came[start : start + _AT_ONCE]) and clean
    if clean:
        note.unlink(missing_ok=True)


def remove_sockets(worktree: Path) -> None:
    """Remove sockets and FIFOs from folders with tracked files: git sees none of them, and the next server would fail on them.

    Folders without tracked files go as a whole, with all that is in them.
    """
    tracked = split_z(Git(worktree).out("ls-files", "-z"))
    for folder in {worktree, *((worktree / name).parent for name in tracked)}:
        for entry in entries(folder):
            if entry.is_symlink() or entry.is_file() or entry.is_dir():
                continue
            with contextlib.suppress(OSError):
                Path(entry.path).unlink()


def _clean(folder: Path, keep: Sequence[str], paths: Sequence[str]) -> bool:
    words = (
        "clean",
        "-d",
        "-x",
        "--force",
        "--force",
        "--quiet",
        *keep,
        "--",
        *(f":(top,literal){path}" for path in paths),
    )
    git = Git(folder)
    if git.run(*words, timeout=1800).returncode == 0:
        return True
    for path in paths:  # some tools make folders that nobody may write to (Go's module cache)
        for base, _, _ in os.walk(folder / path):
            with contextlib.suppress(OSError):
                Path(base).chmod(0o700)
    return git.run(*words, timeout=1800).returncode == 0


def _repositories(worktree: Path, name: str = "") -> Iterator[tuple[str, Path]]:
    """Yield the worktree as '', and its submodules, nested ones too, by their paths."""
    folder = worktree / name
    yield name, folder
    for inside in checked_out(folder):
        yield from _repositories(worktree, inside.relative_to(worktree).as_posix())
