"""Commit what an agent left uncommitted: never secrets, never what we copied in, never something huge.

Secrets are told by their names, at any depth, and private keys also by how they begin. A file above ``MAX_BYTES``, and a
repository inside the repository, are nobody's to commit unasked; nor is more than ``MAX_TOTAL`` at once. What stays
uncommitted for such a reason makes the stream ``escalated``, with the list.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.system import events
from loki_hooks.system.files import read_plain
from loki_hooks.system.git import Git, split_z
from loki_hooks.system.worktrees import git_dir_of, operation_in

if TYPE_CHECKING:
    from loki_hooks.actions.context import Context
    from loki_hooks.domain.streams import StreamRecord

SECRETS = (
    ".env",
    ".env.*",
    "*.env",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "id_rsa*",
    "id_ed25519*",
    "id_ecdsa*",
    "id_dsa*",
    "credentials*",
    "*credentials.json",
    "secrets.*",
    ".netrc",
    ".pypirc",
    ".npmrc",
    "*.kdbx",
    ".htpasswd",
    "service-account*.json",
    ".envrc",
    ".env-*",
    ".env_*",
    ".env~",
    "*.ppk",
    ".git-credentials",
    ".pgpass",
    "*.agekey",
    "kubeconfig",
)
SECRET_FOLDERS = (".ssh", ".gnupg", ".aws", ".kube")
NOT_SECRET = (
    ".env.example",
    ".env.sample",
    ".env.template",
    ".env.dist",
    "*.pub",
    "credentials*.py",
    "credentials*.md",
    "secrets.py",
    "secrets.md",
)
MAX_BYTES = 10 * 1024 * 1024
MAX_TOTAL = 50 * 1024 * 1024
_KEY = re.compile(rb"^-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY( BLOCK)?-----", re.MULTILINE)
_KEY_WITHIN = 65_536
_NEVER = "secrets, large files and repositories within are never committed by themselves"


def looks_secret(path: str) -> bool:
    """Return whether a file's name says that it holds a secret, at any depth."""
    *folders, name = path.lower().rstrip("/").split("/")
    if any(folder in SECRET_FOLDERS for folder in folders):
        return True
    return any(fnmatch.fnmatchcase(name, p) for p in SECRETS) and not any(
        fnmatch.fnmatchcase(name, p) for p in NOT_SECRET
    )


def withheld_of(record: StreamRecord) -> Callable[[str], bool]:
    """Return what tells of a path in the stream's worktree whether it may be in no snapshot, by its name."""
    copied = {name for name, _ in record.copied}
    return lambda path: path in copied or looks_secret(path)


def holds_secret(worktree: Path, name: str, record: StreamRecord) -> bool:
    """Whether the content of a file says that it may be in no snapshot: a private key, or a copy of what we copied in."""
    return _copied(worktree / name, name, dict(record.copied)) or _has_key(worktree / name)


def commit_leftovers(context: Context, record: StreamRecord, *, wanted: bool) -> tuple[tuple[str, ...], str]:
    """Commit what may be committed (when ``wanted``); return the paths that stay uncommitted, and why.

    The commit runs the user's hooks, ours off: a hook that refuses keeps everything as it is.
    """
    path = Path(record.path)
    git = Git(path)
    paths = _uncommitted(git)
    copied = dict(record.copied)
    kept = tuple(
        p
        for p in paths
        if looks_secret(p)
        or _huge(path / p)
        or _is_repository(path / p)
        or _copied(path / p, p, copied)
        or _has_key(path / p)
    )
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


def _copied(path: Path, name: str, copied: Mapping[str, str]) -> bool:
    """Whether this is a file that we copied in, or one with the same content under another name."""
    if name in copied:
        return True
    data = read_plain(path) if copied else None
    return bool(data) and hashlib.sha256(data or b"").hexdigest() in copied.values()


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


def _has_key(path: Path) -> bool:
    """Whether the file begins a private key somewhere near its top."""
    if not path.is_file() or path.is_symlink():
        return False
    try:
        with path.open("rb") as file:
            return _KEY.search(file.read(_KEY_WITHIN)) is not None
    except OSError:
        return False
