"""What is uncommitted in a worktree, and a commit of it that leaves no trace: no file, index, ref or stash is touched.

A snapshot is what the worktree's files would be if they were committed now: a copy of its index, brought up to date
with the changed paths, written as a tree, and a commit of that on the tip. Its objects go to a folder of their own
(``borrowed_objects``) that is gone afterwards, so nothing uncommitted stays in the repository either.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loki_hooks.errors import LokiError
from loki_hooks.system.git import LOOK_YOURSELF, Git, split_z
from loki_hooks.system.worktrees import git_dir_of, operation_in

MAX_BYTES = 10 * 1024 * 1024
MAX_PATHS = 5000
_NOBODY = {
    "GIT_AUTHOR_NAME": "loki-hooks",
    "GIT_AUTHOR_EMAIL": "loki-hooks@localhost",
    "GIT_AUTHOR_DATE": "@0 +0000",
    "GIT_COMMITTER_NAME": "loki-hooks",
    "GIT_COMMITTER_EMAIL": "loki-hooks@localhost",
    "GIT_COMMITTER_DATE": "@0 +0000",
}
"""The same tip and files make the same commit, whenever."""
_AS_IT_IS = ("-c", "core.splitIndex=false", "-c", "core.safecrlf=false", "-c", "core.looseCompression=0")
"""A split index would write its shared part into the user's git dir."""


@dataclass(frozen=True)
class WorktreeLook:
    """``branch`` is what is checked out ('' when HEAD is detached), ``head`` the commit.

    ``dirty``: anything is uncommitted. ``paths``: what a snapshot would take of it; ``mark`` ('' for nothing) stays
    equal as long as that is the same.
    """

    branch: str
    head: str
    dirty: bool
    paths: tuple[str, ...] = ()
    mark: str = ""


def look(worktree: Path, skip: Callable[[str], bool]) -> WorktreeLook | None:
    """Return how the worktree is, by one `git status`; None when there is none, or git cannot tell.

    ``skip`` says which paths may never be in a snapshot. Neither are ignored files, other repositories, files above
    ``MAX_BYTES`` and, when there are more than ``MAX_PATHS``, untracked ones. In the middle of a rebase or merge the
    files are nobody's work yet: there is nothing to take.
    """
    if not (worktree / ".git").exists():
        return None
    # No hook runs in `git status`: it writes no index here. So nobody has to ask git which hooks there are.
    done = Git(worktree, hooks=True).run(
        "-c",
        "core.hooksPath=/dev/null",
        *LOOK_YOURSELF,
        "status",
        "--porcelain=v2",
        "--branch",
        "-z",
        "--no-renames",
        "--no-ahead-behind",
        "--untracked-files=all",
        timeout=600,
    )
    if done.returncode != 0:
        return None
    head = branch = ""
    tracked: list[str] = []
    untracked: list[str] = []
    whole = True
    dirty = False
    for entry in split_z(done.text):
        if entry.startswith("# branch.oid "):
            head = entry[13:] if entry[13:14] != "(" else ""
        elif entry.startswith("# branch.head "):
            branch = entry[14:] if entry[14:] != "(detached)" else ""
        elif not entry.startswith("#"):
            dirty = True
            if entry[0] == "1":
                fields = entry.split(" ", 8)
                if fields[2][0] != "S" or fields[2][1] == "C":  # of a submodule, only another commit is ours to see
                    tracked.append(fields[8])
            elif entry[0] == "?":
                untracked.append(entry[2:])
            else:
                whole = False
    paths = tracked + (untracked if len(untracked) <= MAX_PATHS else [])
    if not whole or not head or not paths or operation_in(git_dir_of(worktree)):
        return WorktreeLook(branch, head, dirty)
    digest = hashlib.sha256(done.stdout)
    taken = [path for path in paths if not skip(path) and _take(worktree, path, digest.update)]
    return WorktreeLook(branch, head, dirty, tuple(taken), digest.hexdigest() if taken else "")


def _take(worktree: Path, path: str, note: Callable[[bytes], object]) -> bool:
    """Whether a snapshot takes this path; what tells its content from another is noted."""
    if path.endswith("/"):
        return False
    try:
        found = os.lstat(worktree / path)
    except OSError:
        note(f"{path}\0gone\0".encode("utf-8", "surrogateescape"))
        return True
    if stat.S_ISDIR(found.st_mode):  # a submodule, or a folder in a file's place
        return True
    if not stat.S_ISLNK(found.st_mode) and (not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES):
        return False
    seen = (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
    note(f"{path}\0{seen}\0".encode("utf-8", "surrogateescape"))
    return True


def snapshot(worktree: Path, tip: str, paths: Sequence[str], objects: Mapping[str, str]) -> str | None:
    """Return a commit on ``tip`` of the worktree's files as they are now, ``paths`` being what changed.

    None when git cannot. ``objects``: the environment that says where objects go.
    """
    git = Git(worktree)
    with tempfile.TemporaryDirectory(prefix="loki-index-") as folder:
        index = Path(folder, "index")
        try:
            shutil.copy2(git_dir_of(worktree) / "index", index)  # with its time: git tells by it which entries to trust
        except OSError:
            return None
        env = {**objects, **_NOBODY, "GIT_INDEX_FILE": str(index)}
        fed = "\0".join(paths).encode("utf-8", "surrogateescape")
        try:
            git.out(*_AS_IT_IS, "update-index", "-z", "--add", "--remove", "--replace", "--stdin", stdin=fed, env=env)
            tree = git.out(*_AS_IT_IS, "write-tree", env=env)
            return git.out(*_AS_IT_IS, "commit-tree", tree, "-p", tip, "-m", "uncommitted work", env=env)
        except LokiError:
            return None


@contextlib.contextmanager
def borrowed_objects(common: Path) -> Iterator[dict[str, str]]:
    """Give an environment in which git reads the repository's objects, and writes to a folder that goes at the end."""
    with tempfile.TemporaryDirectory(prefix="loki-objects-", ignore_cleanup_errors=True) as folder:
        quoted = str(common / "objects").replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        yield {"GIT_OBJECT_DIRECTORY": folder, "GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{quoted}"'}
