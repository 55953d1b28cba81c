"""Find a project's own files by glob: never another repository's, never what a tool rebuilds.

A pattern is `/`-separated; ``*``, ``?`` and ``[…]`` stay within one name, hidden ones included; ``**`` stands for any number of
folders. No pattern leads into another worktree (of this or of another repository), a nested repository, ``.git``,
``.loki`` or through a symbolic link. A wildcard leads into no folder of ``CACHES`` either, unless git tracks files in it: a
dependency's ``.env`` is not the project's. A pattern that names such a folder does.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from pathlib import Path

from loki_hooks.domain.worktrees.caches import is_cache
from loki_hooks.system.files import read_plain
from loki_hooks.system.git.git import Git, list_worktrees, split_z
from loki_hooks.system.site import LOKI

_NEVER = frozenset({".git", LOKI})
_WILD = frozenset("*?[")
_FEW = 100


class Tree:
    """The files of one worktree, as globs see them. What git has to be asked is asked once, when it is needed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def _tracked(self) -> frozenset[str]:
        """Every tracked path, and every folder that holds one."""
        found: set[str] = set()
        for path in split_z(Git(self.root).out("ls-files", "-z")):
            found.add(path)
            folder = path.rpartition("/")[0]
            while folder and folder not in found:
                found.add(folder)
                folder = folder.rpartition("/")[0]
        return frozenset(found)

    @cached_property
    def _worktrees(self) -> frozenset[str]:
        """The other worktrees below, as paths from the root, also those whose folder is damaged."""
        paths = (entry.path for entry in list_worktrees(Git(self.root)))
        return frozenset(
            p.relative_to(self.root).as_posix() for p in paths if p != self.root and self.root in p.parents
        )

    def tracked(self, names: Collection[str]) -> frozenset[str]:
        """Return those of the files and folders that git tracks, or any file in them."""
        if not 0 < len(names) <= _FEW:
            return self._tracked.intersection(names) if names else frozenset()
        specs = [f":(literal){name}" for name in names]
        listed = set(split_z(Git(self.root).out("ls-files", "-z", "--", *specs)))
        return frozenset(n for n in names if n in listed or any(path.startswith(f"{n}/") for path in listed))

    def matches(self, patterns: Iterable[str]) -> tuple[str, ...]:
        """Return the files and folders that fit any of the patterns, as sorted paths from the root."""
        found: set[str] = set()
        for pattern in patterns:
            parts = [part for part in pattern.split("/") if part not in {"", "."}]
            if parts:
                found.update(self._below("", parts))
        return tuple(sorted(found))

    def holds_others(self, folder: str, *, named: bool) -> bool:
        """Return whether another worktree is in the folder, at any depth: whoever shares the folder would share it.

        A repository of its own counts, too, unless the folder is ``named``: then it is meant.
        """
        if any(path == folder or path.startswith(f"{folder}/") for path in self._worktrees):
            return True
        if is_cache(folder):
            return False
        for base, folders, files in os.walk(self.root / folder):
            if not named and ".git" in (*files, *folders):
                return True
            if ".git" in files and b"/worktrees/" in (read_plain(Path(base, ".git")) or b""):
                return True
            folders[:] = [name for name in folders if name not in _NEVER and not is_cache(name)]
        return False

    def _below(self, folder: str, parts: list[str]) -> Iterator[str]:
        part, rest = parts[0], parts[1:]
        if part == "**":
            if rest:
                yield from self._below(folder, rest)
            for name, is_folder in self._entries(folder):
                path = f"{folder}/{name}" if folder else name
                if not rest:
                    yield path
                if is_folder and self._may_wander(path):
                    yield from self._below(path, parts)
            return
        wild = not _WILD.isdisjoint(part)
        for name, is_folder in self._entries(folder) if wild else self._named(folder, part):
            path = f"{folder}/{name}" if folder else name
            if wild and not fnmatch.fnmatchcase(name, part):
                continue
            if not rest:
                yield path
            elif is_folder and (self._may_enter(path) if not wild else self._may_wander(path)):
                yield from self._below(path, rest)

    def _entries(self, folder: str) -> Collection[tuple[str, bool]]:
        """Return the names in a folder that may be seen, each with whether it is a folder, not a link to one."""
        try:
            with os.scandir(self.root / folder) as listed:
                found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in listed]
        except OSError:
            return ()
        return [(name, is_folder) for name, is_folder in found if name.lower() not in _NEVER]

    def _named(self, folder: str, name: str) -> Collection[tuple[str, bool]]:
        path = self.root / folder / name
        if name.lower() in _NEVER or not os.path.lexists(path):
            return ()
        return [(name, path.is_dir() and not path.is_symlink())]

    def _may_enter(self, folder: str) -> bool:
        return folder not in self._worktrees and not _is_repository(self.root / folder)

    def _may_wander(self, folder: str) -> bool:
        return (not is_cache(folder) or folder in self._tracked) and self._may_enter(folder)


def _is_repository(folder: Path) -> bool:
    """Whether a folder is the root of a repository or worktree, damaged or not, or a bare repository."""
    if os.path.lexists(folder / ".git"):
        return True
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir()
