"""The patches that pre-commit and prek put unstaged changes into while their hooks run. They keep every one of them.

    <PRE_COMMIT_HOME, else cache>/patch<seconds>-<pid>         pre-commit
    <PREK_HOME, else cache>/patches/<milliseconds>-<pid>.patch prek; it begins with `# prek … index tree: <tree>`

One folder serves all repositories. A patch is of this one when git knows every blob that it starts from.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from loki_hooks.domain.install.diagnosis import PatchFacts
from loki_hooks.system.files import read_plain
from loki_hooks.system.git.git import Git

MAX_AGE = 30 * 86400.0
MOST = 200
_NAME = re.compile(r"(?:patch\d+-(\d+)|\d+-(\d+)\.patch)")
_INDEX = re.compile(rb"^index ([0-9a-f]{4,64})\.\.([0-9a-f]{4,64})(?: \d+)?$", re.MULTILINE)
_FILE = re.compile(rb"^diff --git a/(.+) b/(.+)$", re.MULTILINE)
_SLACK = 2.0
_CHECKOUT = 120.0
"""Seconds that the framework may take to put the files back after it wrote the patch."""


@dataclass(frozen=True)
class Patch:
    """``made`` is its time (seconds since the epoch), ``pid`` the framework's process."""

    path: Path
    tool: str
    pid: int
    made: float
    old: tuple[str, ...]
    new: tuple[str, ...]
    files: tuple[str, ...]


def found() -> list[Patch]:
    """Return the newest patches of both frameworks, newest first."""
    listed: list[tuple[float, str, int, Path]] = []
    for tool, folder in _folders():
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match is None or not entry.is_file(follow_symlinks=False):
                continue
            made = entry.stat(follow_symlinks=False).st_mtime
            if time.time() - made < MAX_AGE:
                listed.append((made, tool, int(match[1] or match[2]), Path(entry.path)))
    patches = []
    for made, tool, pid, path in sorted(listed, reverse=True)[:MOST]:
        data = read_plain(path) or b""
        blobs = _INDEX.findall(data)
        names = tuple(right.decode("utf-8", "surrogateescape") for _, right in _FILE.findall(data))
        if blobs:
            patches.append(
                Patch(
                    path,
                    tool,
                    pid,
                    made,
                    tuple(old.decode() for old, _ in blobs),
                    tuple(new.decode() for _, new in blobs if new.strip(b"0")),
                    names,
                )
            )
    return patches


def _folders() -> tuple[tuple[str, Path], ...]:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (
        ("pre-commit", Path(os.environ.get("PRE_COMMIT_HOME") or cache / "pre-commit")),
        ("prek", Path(os.environ.get("PREK_HOME") or cache / "prek") / "patches"),
    )


def known_blobs(git: Git, names: set[str]) -> set[str]:
    """Return those of the (abbreviated) ids that the repository has."""
    if not names:
        return set()
    ordered = sorted(names)
    told = git.out("cat-file", "--batch-check=%(objectname)", stdin="".join(f"{name}\n" for name in ordered).encode())
    return {name for name, line in zip(ordered, told.splitlines(), strict=False) if not line.endswith(" missing")}


def look(patch: Patch, worktree: Path, blobs: set[str]) -> PatchFacts:
    """Return what is to be known of the patch in a worktree. ``blobs``: the ids that the repository has."""
    git = Git(worktree)
    check = ("apply", "--check", "--whitespace=nowarn")
    return PatchFacts(
        owner_alive=_owner_alive(patch),
        in_git=bool(patch.new) and all(name in blobs for name in patch.new),
        applies=git.ok(*check, str(patch.path)),
        applies_in_reverse=git.ok(*check, "--reverse", str(patch.path)),
        reset_then=_reset_then(patch, worktree),
    )


def _reset_then(patch: Patch, worktree: Path) -> bool:
    times = []
    for name in patch.files:
        try:
            times.append((worktree / name).lstat().st_mtime)
        except (OSError, ValueError):
            return False
    return bool(times) and all(patch.made - _grain(when) <= when <= patch.made + _CHECKOUT for when in times)


def _grain(when: float) -> float:
    """Return how far a file's time may be off: some file systems know whole seconds only."""
    return 2.0 if when == int(when) else 0.05


def _owner_alive(patch: Patch) -> bool:
    """Whether the framework's process lives: a process of that pid which began before the patch was made."""
    import psutil

    try:
        process = psutil.Process(patch.pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= patch.made + _SLACK
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True  # unknown means that it may
