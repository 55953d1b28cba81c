"""What a worktree's own set-up made: paths that were not there before, with marks that tell if they changed.

Kept in the worktree's git dir (JSON: path as git shows it → mark): the ignored ones as ``loki-setup-made``, the untracked
ones as ``loki-setup-left``. A mark is made of the sizes and times of change of all files there: what somebody wrote to
since is somebody's. What is unchanged is nobody's work: it is not committed, and keeps no worktree. Which set-up was done
is in ``loki-setup``.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Mapping
from pathlib import Path

from loki_hooks.domain.worktrees.caches import is_tools_own_name, ways_to
from loki_hooks.domain.worktrees.setup_plan import VENV
from loki_hooks.errors import LokiError
from loki_hooks.system.files import write_atomic
from loki_hooks.system.git.git import Git
from loki_hooks.system.git.operations import git_dir_of
from loki_hooks.system.git.status import entries
from loki_hooks.system.json import dump_json, read_json
from loki_hooks.system.trees import remove_tree

FILE = "loki-setup-made"
LEFT = "loki-setup-left"
DONE = "loki-setup"
MAX_FILES = 50_000


def ignored_paths(worktree: Path) -> frozenset[str]:
    """Return the ignored paths in a worktree; a wholly ignored folder is one path that ends with '/'."""
    try:
        listed = entries(Git(worktree), untracked="normal", ignored=True, submodules=False)
    except LokiError:
        return frozenset()
    return frozenset(entry.path for entry in listed if entry.ignored)


def untracked_paths(worktree: Path) -> frozenset[str]:
    """Return the untracked files in a worktree."""
    try:
        listed = entries(Git(worktree), submodules=False)
    except LokiError:
        return frozenset()
    return frozenset(entry.path for entry in listed if entry.untracked)


def hide_tools_own(worktree: Path, before: frozenset[str]) -> None:
    """Make git ignore folders that only tools make (`x.egg-info`) and that were not there ``before``.

    As `hide_made`: by a ``.gitignore`` within, so nobody else's rules change.
    """
    made = {name for path in untracked_paths(worktree) - before for name in ways_to(path) if is_tools_own_name(name)}
    for name in made:
        folder = worktree / name
        if folder.is_dir() and not folder.is_symlink() and not os.path.lexists(folder / ".gitignore"):
            write_atomic(folder / ".gitignore", "*\n")


def mark_of(path: Path) -> str:
    """Return what changes when a file, or any file in a folder, does; '' for what is not there or is too large."""
    digest = hashlib.sha256()
    seen = 0
    todo = [path]
    try:
        while todo:
            current = todo.pop()
            found = current.lstat()
            seen += 1
            if seen > MAX_FILES:
                return ""
            if stat.S_ISDIR(found.st_mode):
                todo += sorted(current.iterdir(), reverse=True)
            else:
                mark = f"{current.relative_to(path)}\0{found.st_size}\0{found.st_mtime_ns}\0"
                digest.update(mark.encode("utf-8", "surrogateescape"))
    except OSError:
        return ""
    return digest.hexdigest()


def remember_made(worktree: Path, ignored: frozenset[str], untracked: frozenset[str]) -> None:
    """Record what is ignored or untracked now and was not so before, beside what an earlier set-up made."""
    for file, new in ((FILE, ignored_paths(worktree) - ignored), (LEFT, untracked_paths(worktree) - untracked)):
        made = {**_read(worktree, file), **{name: mark_of(worktree / name) for name in new}}
        if made:
            write_atomic(git_dir_of(worktree) / file, dump_json(made))


def files_in(path: Path) -> dict[str, tuple[int, int]] | None:
    """Return each file at or below ``path``, by its path from there: size and time of change. None for too many to look at."""
    found: dict[str, tuple[int, int]] = {}
    todo = [path]
    while todo:
        current = todo.pop()
        try:
            seen = current.lstat()
            if stat.S_ISDIR(seen.st_mode):
                todo += current.iterdir()
            else:
                found[current.relative_to(path).as_posix()] = (seen.st_size, seen.st_mtime_ns)
        except OSError:
            continue
        if len(found) > MAX_FILES:
            return None
    return found


def is_usable(worktree: Path) -> bool:
    """Return whether what set-up made is all there, and its virtual environments have an interpreter."""
    made = made_by_setup(worktree)
    return all(os.path.lexists(worktree / name) for name in made) and not _dead(worktree, made)


def forget_made(worktree: Path, names: Collection[str] | None = None) -> None:
    """Have set-up done again: what it made (``names`` of it; None: what cannot be used any more) goes before."""
    made = made_by_setup(worktree)
    (git_dir_of(worktree) / DONE).unlink(missing_ok=True)
    gone = _dead(worktree, made) if names is None else names
    for name in gone:
        place = worktree / name
        if place.is_dir() and not place.is_symlink():
            remove_tree(place)
        else:
            place.unlink(missing_ok=True)
    write_atomic(
        git_dir_of(worktree) / FILE, dump_json({name: mark for name, mark in made.items() if name not in gone})
    )


def _dead(worktree: Path, made: Collection[str]) -> tuple[str, ...]:
    """Return the virtual environments whose interpreter is gone: they point at one that was upgraded, say."""
    names = dict.fromkeys((*made, f"{VENV}/"))
    return tuple(name for name in names if _has_no_interpreter(worktree / name))


def _has_no_interpreter(folder: Path) -> bool:
    if not (folder / "pyvenv.cfg").is_file():
        return False
    places = (folder / "bin" / "python", folder / "bin" / "python3")
    return not any(place.exists() for place in places)


def made_by_setup(worktree: Path) -> Mapping[str, str]:
    """Return the ignored paths that set-up made, each with its mark."""
    return _read(worktree, FILE)


def left_by_setup(worktree: Path) -> frozenset[str]:
    """Return the untracked files that set-up made and nobody wrote to since."""
    return frozenset(name for name, mark in _read(worktree, LEFT).items() if mark and mark == mark_of(worktree / name))


def _read(worktree: Path, file: str) -> dict[str, str]:
    value = read_json(git_dir_of(worktree) / file)
    return {k: v for k, v in value.items() if isinstance(v, str)} if isinstance(value, dict) else {}
