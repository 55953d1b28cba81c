"""What is uncommitted in a worktree, and a commit of it that leaves no trace: no file, index, ref or stash is touched.

A snapshot is what the worktree's files would be if they were committed now: a copy of its index, brought up to date
with the changed paths, and written as a tree (``trees``). Whoever needs it only for a moment has its objects written to a
folder of their own (``borrowed_objects``) that is gone afterwards. Filters of the project (``.gitattributes``) run, as
they do in `git status`: what they hide from git must not become an object.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loki_hooks.domain.worktrees.safe import fitting
from loki_hooks.errors import LokiError, reason_in
from loki_hooks.system.git.git import Git, split_z
from loki_hooks.system.git.operations import git_dir_of, operation_in
from loki_hooks.system.git.status import OWN_INDEX, Care, as_stdin, ask, index_copy

MAX_BYTES = 10 * 1024 * 1024
MAX_PATHS = 5000
MAX_UNREADABLE = 50
_NOBODY = {
    "GIT_AUTHOR_NAME": "loki-hooks",
    "GIT_AUTHOR_EMAIL": "loki-hooks@localhost",
    "GIT_AUTHOR_DATE": "@0 +0000",
    "GIT_COMMITTER_NAME": "loki-hooks",
    "GIT_COMMITTER_EMAIL": "loki-hooks@localhost",
    "GIT_COMMITTER_DATE": "@0 +0000",
}
"""The same tip and files make the same commit, whenever."""
_AS_IT_IS = (*OWN_INDEX, "-c", "core.safecrlf=false")
_QUICK = ("-c", "core.looseCompression=0")
WITHHELD = "it looks like a secret, or was copied in"


@dataclass(frozen=True)
class WorktreeLook:
    """``branch`` is what is checked out ('' when HEAD is detached), ``head`` the commit.

    ``dirty``: anything is uncommitted. ``paths``: what a snapshot would take of it; ``mark`` ('' for nothing) stays
    equal as long as that is the same. ``left``: what it would leave out, each with the reason; ``withheld``: those of
    them that git tracks and that must not be taken from the index either. ``operation``: what is in progress.
    """

    branch: str
    head: str
    dirty: bool
    paths: tuple[str, ...] = ()
    mark: str = ""
    left: tuple[tuple[str, str], ...] = ()
    withheld: tuple[str, ...] = ()
    operation: str = ""


@dataclass(frozen=True)
class _Entries:
    """What `git status` lists."""

    branch: str = ""
    head: str = ""
    tracked: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    submodules: tuple[str, ...] = ()
    """Those with changes inside."""
    unmerged: bool = False


def look(worktree: Path, skip: Callable[[str], bool]) -> WorktreeLook | None:
    """Return how the worktree is, by one `git status`; None when there is none, or git cannot tell.

    ``skip`` says which paths may never be in a snapshot. Neither are ignored files, other repositories, files above
    ``MAX_BYTES`` and, where more than ``MAX_PATHS`` are untracked, the folders with the most of them.
    """
    if not (worktree / ".git").exists():
        return None
    words = ("--porcelain=v2", "--branch", "--no-renames", "--no-ahead-behind", "--untracked-files=all")
    try:
        done = ask(Git(worktree), *words, care=Care.HIDDEN)
    except LokiError:
        return None
    if done.returncode != 0:
        return None
    seen = _entries(done.text)
    left = [(path, "changes inside a submodule are not covered") for path in seen.submodules]
    fit = fitting(seen.untracked, MAX_PATHS)
    if len(fit) < len(seen.untracked):
        left.append((f"{len(seen.untracked) - len(fit)} untracked files", f"more than {MAX_PATHS} are"))
    digest = hashlib.sha256(done.stdout)
    taken = []
    for path in (*seen.tracked, *fit):
        why = WITHHELD if skip(path) else _why_not(worktree, path, digest.update)
        if why:
            left.append((path, why))
        else:
            taken.append(path)
    operation = operation_in(git_dir_of(worktree)) or ("merge" if seen.unmerged else "")
    secret = {path for path, why in left if why == WITHHELD}
    return WorktreeLook(
        seen.branch,
        seen.head,
        bool(seen.tracked or seen.untracked or seen.submodules),
        tuple(taken),
        digest.hexdigest() if taken else "",
        tuple(left),
        tuple(path for path in seen.tracked if path in secret),
        operation,
    )


def _entries(text: str) -> _Entries:
    head = branch = ""
    tracked, untracked, submodules = [], [], []
    unmerged = False
    for entry in split_z(text):
        if entry.startswith("# branch.oid "):
            head = entry[13:] if entry[13:14] != "(" else ""
        elif entry.startswith("# branch.head "):
            branch = entry[14:] if entry[14:] != "(detached)" else ""
        elif entry[0] == "1":
            fields = entry.split(" ", 8)
            if fields[2][0] != "S" or fields[2][1] == "C":  # of a submodule, only another commit is ours to see
                tracked.append(fields[8])
            if fields[2][0] == "S" and fields[2][2:] != "..":
                submodules.append(fields[8])
        elif entry[0] == "u":
            unmerged = True
            tracked.append(entry.split(" ", 10)[10])
        elif entry[0] == "?":
            untracked.append(entry[2:])
    return _Entries(branch, head, tuple(tracked), tuple(untracked), tuple(submodules), unmerged)


def _why_not(worktree: Path, path: str, note: Callable[[bytes], object]) -> str:
    """Return why a snapshot leaves this path out, '' when it takes it; what tells its content from another is noted."""
    if path.endswith("/"):
        return "it is a repository of its own"
    try:
        found = os.lstat(worktree / path)
    except OSError:
        note(f"{path}\0gone\0".encode("utf-8", "surrogateescape"))
        return ""
    if stat.S_ISDIR(found.st_mode):  # a submodule, or a folder in a file's place
        return ""
    if not stat.S_ISLNK(found.st_mode):
        if not stat.S_ISREG(found.st_mode):
            return "it is no regular file"
        if found.st_size > MAX_BYTES:
            return f"it has more than {MAX_BYTES // 2**20} MiB"
        if not os.access(worktree / path, os.R_OK):
            return "it cannot be read"
    seen = (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
    note(f"{path}\0{seen}\0".encode("utf-8", "surrogateescape"))
    return ""


@dataclass(frozen=True)
class Trees:
    """``files``: the tree of the worktree's files; ``index``: of what is staged ('' where paths are unmerged).

    ``unreadable``: paths that git could not add; they are in ``files`` as they are in the index.
    """

    files: str
    index: str
    unreadable: tuple[str, ...] = ()


def trees(
    worktree: Path,
    paths: Sequence[str],
    *,
    withheld: Sequence[str] = (),
    objects: Mapping[str, str] | None = None,
    by_content: bool = False,
) -> Trees:
    """Return the trees of the worktree's files and of its index as they are now, ``paths`` being what changed.

    Of ``withheld`` both have what HEAD has, whatever is staged. ``objects``: the environment that says where objects go.
    ``by_content``: each of ``paths`` is read, whatever its stat data says.
    Raises ``LokiError`` when git cannot.
    """
    git = Git(worktree)
    words = (*_AS_IT_IS, *(_QUICK if objects else ()))
    with index_copy(git, by_content=by_content) as own:
        env = {**(objects or {}), **own}
        if withheld:
            _withhold(git, withheld, env)
        staged = git.run(*words, "write-tree", env=env)
        update = (*words, "update-index", "-z", "--add", "--remove", "--replace")
        behind_links = [path for path in paths if _leads_through_link(worktree, path)]
        if behind_links:  # git refuses to look there; what it knows there is gone
            git.out(*update, "--force-remove", "--stdin", stdin=as_stdin(behind_links), env=env)
        behind = frozenset(behind_links)
        left = _add(git, update, [path for path in paths if path not in behind], env)
        files = git.out(*words, "write-tree", env=env)
        return Trees(files, staged.text.strip() if staged.returncode == 0 else "", left)


def filled(worktree: Path, tree: str, full: str, paths: Sequence[str]) -> str:
    """Return ``tree`` with ``paths`` as they are in the tree ``full``. Raises ``LokiError`` where both cannot be."""
    git = Git(worktree)
    with tempfile.TemporaryDirectory(prefix="loki-index-") as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
        git.out(*_AS_IT_IS, "read-tree", tree, env=env)
        wanted = frozenset(paths)
        lines = [e for e in split_z(git.out("ls-tree", "-r", "-z", full)) if e.partition("\t")[2] in wanted]
        git.out(*_AS_IT_IS, "update-index", "-z", "--add", "--index-info", stdin=as_stdin(lines), env=env)
        return git.out(*_AS_IT_IS, "write-tree", env=env)


def _withhold(git: Git, paths: Sequence[str], env: Mapping[str, str]) -> None:
    from_stdin = ("--pathspec-from-file=-", "--pathspec-file-nul")
    if git.commit_id("HEAD") is None:
        git.out("update-index", "-z", "--force-remove", "--stdin", stdin=as_stdin(paths), env=env)
    else:
        git.out("--literal-pathspecs", "reset", "--quiet", *from_stdin, stdin=as_stdin(paths), env=env)


def _leads_through_link(worktree: Path, path: str) -> bool:
    return any((worktree / parent).is_symlink() for parent in Path(path).parents)


def _add(git: Git, update: Sequence[str], paths: Sequence[str], env: Mapping[str, str]) -> tuple[str, ...]:
    """Bring ``paths`` up to date in the index; return those that git could not: one must not cost all others."""
    bad: list[str] = []
    todo = [list(paths)] if paths else []
    while todo:
        part = todo.pop()
        done = git.run(*update, "--stdin", stdin=as_stdin(part), env=env, timeout=1800)
        if done.returncode == 0:
            continue
        if len(part) == 1:
            bad += part
        else:
            todo += [part[: len(part) // 2], part[len(part) // 2 :]]
        if len(bad) > MAX_UNREADABLE:
            raise LokiError(f"git cannot read {bad[0]} and others: {reason_in(done.error_text)}")
    return tuple(bad)


def snapshot(
    worktree: Path, tip: str, paths: Sequence[str], objects: Mapping[str, str], withheld: Sequence[str] = ()
) -> str | None:
    """Return a commit on ``tip`` of the worktree's files as they are now (see ``trees``); None when git cannot."""
    try:
        tree = trees(worktree, paths, withheld=withheld, objects=objects).files
        env = {**objects, **_NOBODY}
        return Git(worktree).out("commit-tree", tree, "-p", tip, "-m", "uncommitted work", env=env)
    except (LokiError, OSError):
        return None


@contextlib.contextmanager
def borrowed_objects(common: Path) -> Iterator[dict[str, str]]:
    """Give an environment in which git reads the repository's objects, and writes to a folder that goes at the end."""
    with tempfile.TemporaryDirectory(prefix="loki-objects-", ignore_cleanup_errors=True) as folder:
        quoted = str(common / "objects").replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        yield {"GIT_OBJECT_DIRECTORY": folder, "GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{quoted}"'}
