"""Commit what an agent left uncommitted: never secrets, never what we copied in, never something huge.

Secrets are told by their names, at any depth, and by what they hold (`domain/secrets.py`). A file above ``MAX_BYTES``, and a
repository inside the repository, are nobody's to commit unasked; nor is more than ``MAX_TOTAL`` at once. What stays
uncommitted for such a reason makes the stream ``escalated``, with the list.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.system import events
from loki_hooks.system.git import Git, split_z
from loki_hooks.system.secrets import secret_paths, secrets_of
from loki_hooks.system.worktrees import git_dir_of, operation_in

if TYPE_CHECKING:
    from loki_hooks.actions.context import Context
    from loki_hooks.domain.streams import StreamRecord

MAX_BYTES = 10 * 1024 * 1024
MAX_TOTAL = 50 * 1024 * 1024
_NEVER = "secrets, large files and repositories within are never committed by themselves"


def commit_leftovers(context: Context, record: StreamRecord, *, wanted: bool) -> tuple[tuple[str, ...], str]:
    """Commit what may be committed (when ``wanted``); return the paths that stay uncommitted, and why.

    The commit runs the user's hooks, ours off: a hook that refuses keeps everything as it is.
    """
    path = Path(record.path)
    git = Git(path)
    paths = _uncommitted(git)
    copied = {name for name, _ in record.copied}
    is_secret = secret_paths(path, secrets_of(context.site.main, path, record.copied))
    kept = tuple(p for p in paths if p in copied or _huge(path / p) or _is_repository(path / p) or is_secret(p))
    todo = [p for p in paths if p not in set(kept)]
    if not wanted:
        return tuple(paths), "" if not paths else "session.commit is off or the session did not end well"
    if not todo:
        return kept, _NEVER if kept else ""
    total = sum(_size(path / p) for p in todo)
    if total > MAX_TOTAL:
        return (
            tuple(paths),
            f"together they have {total // 2**20} MiB, and never more than {MAX_TOTAL // 2**20} are committed by themselves",
        )
    operation = operation_in(git_dir_of(path))
    if operation:
        return tuple(paths), f"a {operation} is in progress"
    spec = "\0".join(todo).encode("utf-8", "surrogateescape")
    # What is removed from the index already (`git rm`) is unknown to `git add`.
    known = set(split_z(git.out("ls-files", "-z")))
    changed = "\0".join(p for p in todo if p in known or os.path.lexists(path / p)).encode("utf-8", "surrogateescape")
    with_hooks = Git(path, hooks=True)
    added = git.run(
        "--literal-pathspecs", "add", "--all", "--pathspec-from-file=-", "--pathspec-file-nul", stdin=changed
    )
    if added.returncode != 0:
        return tuple(paths), f"git add refused: {added.error_text.strip()[-200:]}"
    title = record.task.title or f"Work of {record.stream}"
    done = with_hooks.run(
        "--literal-pathspecs",
        "commit",
        "--quiet",
        "-m",
        title,
        "-m",
        f"What the session left uncommitted.\n\nLoki-Stream: {record.stream}",
        "--pathspec-from-file=-",
        "--pathspec-file-nul",
        stdin=spec,
        timeout=600,
    )
    if done.returncode != 0:
        return tuple(_uncommitted(git)), f"the commit was refused: {done.error_text.strip()[-200:]}"
    events.record(
        context.site,
        "leftovers-committed",
        record.stream,
        commit=git.commit_id("HEAD") or "",
        evidence={"files": todo[:50]},
    )
    left = tuple(_uncommitted(git))
    return left, _NEVER if left else ""


def _uncommitted(git: Git) -> list[str]:
    listed = git.out("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all")
    return [entry[3:] for entry in split_z(listed)]


def _huge(path: Path) -> bool:
    return _size(path) > MAX_BYTES


def _size(path: Path) -> int:
    try:
        found = path.lstat()
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _is_repository(path: Path) -> bool:
    """Whether this is a repository of its own inside the worktree: git lists it as a folder, and would add a bare pointer."""
    return path.is_dir() and not path.is_symlink() and os.path.lexists(path / ".git")
