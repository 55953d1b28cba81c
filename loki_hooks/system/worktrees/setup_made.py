"""What a worktree's own set-up made: ignored paths that were not there before, with marks that tell if they changed.

Kept in the worktree's git dir as ``loki-setup-made`` (JSON: path as git shows it → mark). A mark is made of the sizes
and times of change of all files there: what somebody wrote to since is somebody's.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Mapping
from pathlib import Path

from loki_hooks.errors import LokiError
from loki_hooks.system.files import write_atomic
from loki_hooks.system.git.git import Git
from loki_hooks.system.git.operations import git_dir_of
from loki_hooks.system.git.status import entries
from loki_hooks.system.json import dump_json, read_json

FILE = "loki-setup-made"
MAX_FILES = 50_000


def ignored_paths(worktree: Path) -> frozenset[str]:
    """Return the ignored paths in a worktree; a wholly ignored folder is one path that ends with '/'."""
    try:
        listed = entries(Git(worktree), untracked="normal", ignored=True, submodules=False)
    except LokiError:
        return frozenset()
    return frozenset(entry.path for entry in listed if entry.ignored)


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


def remember_made(worktree: Path, before: frozenset[str]) -> None:
    """Record what is ignored now and was not ``before``, beside what an earlier set-up made."""
    made = {**made_by_setup(worktree), **{name: mark_of(worktree / name) for name in ignored_paths(worktree) - before}}
    if made:
        write_atomic(git_dir_of(worktree) / FILE, dump_json(made))


def made_by_setup(worktree: Path) -> Mapping[str, str]:
    value = read_json(git_dir_of(worktree) / FILE)
    return {k: v for k, v in value.items() if isinstance(v, str)} if isinstance(value, dict) else {}
