"""Whether what is ignored in a worktree is what a tool rebuilds, told by what is there; and repositories that lie in it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from loki_hooks.domain.worktrees.caches import TOOLS_MARKS, TOOLS_OWN, Named, is_cache, named_like_caches
from loki_hooks.errors import LokiError
from loki_hooks.system.git.git import Git, split_z
from loki_hooks.system.git.operations import git_dir_of, operation_in
from loki_hooks.system.git.status import Care, entries
from loki_hooks.system.trees import folders_with

_PLACEHOLDERS = frozenset({".gitignore", ".gitkeep", ".keep"})


def is_rebuilt(root: Path, name: str, caches: Collection[str] = ()) -> bool:
    """Return whether the ignored path ``name`` (a folder ends with '/') is what a tool rebuilds.

    A name that people use, too, proves nothing by itself: a file that says so has to be beside the folder, or in it, and
    nothing that git tracks. ``caches``: the user's own patterns.
    """
    return any(
        named.beside is None or _is_tools(root, named, whole=named.path == name.rstrip("/"))
        for named in named_like_caches(name, caches)
    )


def _is_tools(root: Path, named: Named, *, whole: bool) -> bool:
    folder = root / named.path
    beside = root / named.path.removesuffix("vendor/bundle").rpartition("/")[0]
    proved = any((folder / mark).is_file() for mark in TOOLS_MARKS) or any(
        (beside / f).is_file() for f in named.beside or ()
    )
    return proved and folder.is_dir() and (whole or not _tracked_below(root, named.path))


def _tracked_below(root: Path, folder: str) -> bool:
    listed = split_z(Git(root).out("ls-files", "-z", "--", f":(literal){folder}"))
    return any(path.rpartition("/")[2] not in _PLACEHOLDERS for path in listed)


def is_tools_own(name: str, caches: Collection[str] = ()) -> bool:
    """Return whether only tools use the name; within somebody's own folder no other name counts."""
    return is_cache(name, (*TOOLS_OWN, *caches))


def repositories_with_work(root: Path, name: str) -> tuple[str, ...]:
    """Return the repositories within a folder of a tool's that hold something of their own, as paths from ``root``.

    (`pip install -e git+…` clones into ``.venv/src``, and people work there.) Raises ``OSError`` where a folder cannot be read.
    """
    if not name.endswith("/") or (root / name).is_symlink():
        return ()
    found = (folder for folder in folders_with(root / name, ".git") if work_in(folder) != {})
    return tuple(f"{folder.relative_to(root).as_posix()}/" for folder in found)


def work_in(repository: Path, caches: Collection[str] = ()) -> dict[str, list[str]]:
    """Return what a repository of its own holds that is nowhere else: what it is → examples."""
    git = Git(repository)
    try:
        uncommitted = entries(git, care=Care.HIDDEN, ignored=True)
        lonely = git.out("rev-list", "--max-count=3", "--all", "HEAD", "--not", "--remotes").split()
        operation = operation_in(git_dir_of(repository))
    except LokiError as error:
        return {"git cannot tell what is in it": [str(error)]}
    found = {
        "changes": [e.path for e in uncommitted if not e.untracked and not e.ignored],
        "untracked files": [e.path for e in uncommitted if e.untracked and not is_tools_own(e.path, caches)],
        "ignored files": [e.path for e in uncommitted if e.ignored and not is_rebuilt(repository, e.path, caches)],
        "commits on no remote": lonely,
        "stashes": (git.maybe("stash", "list") or "").splitlines(),
        "an operation in progress": [operation] if operation else [],
    }
    return {what: seen for what, seen in found.items() if seen}
