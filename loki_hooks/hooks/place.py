"""Where a hook runs, found by reading files with os alone: `system.site` knows more, and costs more to import.

git starts hooks at the root of the worktree (of a bare repository: in it), with ``GIT_DIR`` set or not
(githooks(5)).
"""

from __future__ import annotations

import os


class HookPlace:
    """``root``: the worktree. ``git_dir``: its own git dir. ``common``: the one that all worktrees share."""

    __slots__ = ("common", "git_dir", "root")

    def __init__(self, root: str, git_dir: str, common: str) -> None:
        self.root = root
        self.git_dir = git_dir
        self.common = common

    @property
    def loki(self) -> str:
        """The ``.loki/`` of the repository, whether or not it is there yet."""
        inside = os.path.join(self.common, ".loki")
        if os.path.isdir(inside):  # a bare repository keeps it so
            return inside
        if self.git_dir == self.common and self.root != self.common:  # the main worktree, wherever its git dir is
            return os.path.join(self.root, ".loki")
        main = first_line(os.path.join(self.common, "loki", "main"))  # the git dir is not in the main worktree
        if main and _leads_to(os.path.join(main, ".git"), self.common):
            return os.path.join(main, ".loki")
        if os.path.basename(self.common) == ".git":
            return os.path.join(os.path.dirname(self.common), ".loki")
        main = first_line(
            os.path.join(self.common, "loki", "main")
        )  # of a linked worktree, as `Site.enable` recorded it
        return os.path.join(main, ".loki") if main else inside

    @property
    def branch(self) -> str:
        """The branch that is checked out, '' when HEAD is detached."""
        head = first_line(os.path.join(self.git_dir, "HEAD"))
        prefix = "ref: refs/heads/"
        return head[len(prefix) :] if head.startswith(prefix) else ""


def _leads_to(dot: str, common: str) -> bool:
    """Whether a worktree's ``.git``, a link or a pointer file, leads to the git dir ``common``."""
    if os.path.isdir(dot):
        return os.path.realpath(dot) == common
    return os.path.realpath(os.path.join(os.path.dirname(dot), first_line(dot).removeprefix("gitdir: "))) == common


def find_place() -> HookPlace:
    """Return where this hook was started."""
    root = os.path.realpath(os.getcwd())
    git_dir = os.environ.get("GIT_DIR", "")
    if not git_dir:
        dot = os.path.join(root, ".git")
        found = dot if os.path.isdir(dot) else root
        git_dir = first_line(dot).removeprefix("gitdir: ") if os.path.isfile(dot) else found
    git_dir = os.path.realpath(os.path.join(root, git_dir))
    pointer = first_line(os.path.join(git_dir, "commondir"))
    shared = os.environ.get("GIT_COMMON_DIR", "") or os.path.join(git_dir, pointer)
    return HookPlace(root, git_dir, os.path.realpath(os.path.join(root, shared)))


def first_line(path: str, limit: int = 4096) -> str:
    """Return the first line of a small regular file, '' when there is none. Follows no link, opens no FIFO."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        return os.read(handle, limit).decode("utf-8", "replace").split("\n", 1)[0].rstrip("\r")
    except OSError:
        return ""
    finally:
        os.close(handle)
