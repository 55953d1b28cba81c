"""What git is in the middle of in a worktree: a rebase, a merge, a bisect."""

from __future__ import annotations

import os
from pathlib import Path

from loki_hooks.errors import LokiError
from loki_hooks.system.git_folder import pointer
from loki_hooks.system.site import Site
from loki_hooks.system.trees import remove_tree


def git_dir_of(worktree: Path) -> Path:
    """Return the git dir of a worktree (``.git`` itself, or what the ``.git`` file points at), or a bare one's own.

    Raises ``LokiError`` for a folder that has none: what belongs there must not be written into the folder.
    """
    dot = worktree / ".git"
    found = pointer(dot, "gitdir: ") if dot.is_file() else dot if dot.is_dir() else worktree
    if found is None or (found == worktree and not os.path.lexists(worktree / "HEAD")):
        raise LokiError(f"{worktree} is no worktree any more: its .git is gone", "`loki-hooks doctor` says more")
    return found


_OPERATIONS = {
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "BISECT_LOG": "bisect",
    "sequencer": "cherry-pick",
}


def operation_in(git_dir: Path) -> str:
    """Return what git operation is in progress in a worktree: rebase, am, merge, cherry-pick, revert, bisect; or ''."""
    if (git_dir / "rebase-apply" / "applying").exists():
        return "am"
    for name, what in _OPERATIONS.items():
        if (git_dir / name).exists():
            return what
    return ""


_TRACES = (
    "MERGE_MSG",
    "MERGE_MODE",
    "AUTO_MERGE",
    "SQUASH_MSG",
    "BISECT_START",
    "BISECT_TERMS",
    "BISECT_NAMES",
    "BISECT_RUN",
)


def clear_operation(git_dir: Path) -> None:
    """Forget what git operation is in progress in a worktree whose files somebody puts back."""
    for name in (*_OPERATIONS, *_TRACES):
        place = git_dir / name
        if place.is_dir() and not place.is_symlink():
            remove_tree(place)
        else:
            place.unlink(missing_ok=True)


def branch_held_by_operation(site: Site, branch: str) -> str:
    """Return '' or why ``branch`` must not move: some worktree rebases or bisects it, though it looks checked out nowhere."""
    git_dirs = [site.common, *sorted((site.common / "worktrees").glob("*"))]
    for git_dir in git_dirs:
        for folder, what in (("rebase-merge", "rebase"), ("rebase-apply", "rebase")):
            head = git_dir / folder / "head-name"
            if head.is_file() and head.read_text(errors="replace").strip() == f"refs/heads/{branch}":
                return f"a {what} of {branch} is in progress"
        updated = git_dir / "rebase-merge" / "update-refs"
        if updated.is_file() and f"refs/heads/{branch}" in updated.read_text(errors="replace").splitlines():
            return f"a rebase that will move {branch} too (--update-refs) is in progress"
        start = git_dir / "BISECT_START"
        if start.is_file() and start.read_text(errors="replace").strip() in {branch, f"refs/heads/{branch}"}:
            return f"a bisect of {branch} is in progress"
    return ""
