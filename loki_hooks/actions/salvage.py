"""Keep what is uncommitted in a worktree that goes to the trash, and bring it back.

Changes and untracked files become one commit ``W`` on top of the branch's tip. Its trailers say what is what:

    Loki-Branch: feature/auth      Loki-Tip: <the branch's tip>
    Loki-Index: <a commit of what was staged>, where that differs    Loki-Head: <a detached HEAD>, where there was one

What looks like a secret never becomes an object in git: such files, precious ignored ones, and folders that are
repositories of their own are moved to ``.loki/trash/<stream>-<time>/`` (0700), under the paths that they had.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.leftovers import looks_secret
from loki_hooks.domain.names import flat
from loki_hooks.domain.removal import WorktreeFacts
from loki_hooks.domain.streams import StreamRecord
from loki_hooks.errors import LokiError
from loki_hooks.system.git import Git
from loki_hooks.system.trees import files_in, remove_tree
from loki_hooks.system.worktrees import NOBODY


@dataclass(frozen=True)
class Salvage:
    """What is to be kept of a worktree. ``work`` is ``W`` ('' when nothing is uncommitted); ``tree`` its tree.

    ``saved``: paths that are in ``W``; ``untracked``: those of them that git does not know; ``aside``: what is moved.
    """

    tip: str
    head: str
    work: str = ""
    tree: str = ""
    index: str = ""
    saved: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()


def save(context: Context, record: StreamRecord, facts: WorktreeFacts) -> Salvage:
    """Make the commits of what is uncommitted. Changes nothing in the worktree. Raises ``LokiError``."""
    git = Git(Path(record.path))
    tip = context.git.commit_id(f"refs/heads/{record.branch}") or ""
    head = git.commit_id("HEAD") or tip
    apart = tuple(p for p in facts.untracked if p.endswith("/") or looks_secret(p))
    secret = tuple(p for p in facts.modified if looks_secret(p))
    saved = tuple(p for p in (*facts.modified, *facts.untracked) if p not in {*apart, *secret})
    aside = (*apart, *secret, *facts.precious)
    parents = [p for p in dict.fromkeys((tip, head)) if p]
    if not saved and len(parents) < 2:
        return Salvage(tip, head, aside=aside)
    tree, staged = _trees(git, saved, secret)
    index = ""
    if staged not in {tree, git.tree_id(head)}:
        index = _commit(git, staged, [head], f"What was staged in {record.stream}\n")
    lines = [f"Uncommitted work of {record.stream}", "", f"Loki-Branch: {record.branch}", f"Loki-Tip: {tip}"]
    lines += [f"Loki-Index: {index}"] if index else []
    lines += [f"Loki-Head: {head}"] if head != tip else []
    work = _commit(git, tree, [*parents, *([index] if index else [])], "\n".join(lines) + "\n")
    return Salvage(tip, head, work, tree, index, saved, tuple(p for p in facts.untracked if p in saved), aside)


def _commit(git: Git, tree: str, parents: Sequence[str], message: str) -> str:
    words = [word for parent in parents for word in ("-p", parent)]
    return git.out("commit-tree", tree, *words, "-F", "-", stdin=message.encode("utf-8", "surrogateescape"), env=NOBODY)


def _trees(git: Git, saved: Sequence[str], secret: Sequence[str]) -> tuple[str, str]:
    """Return (tree of the worktree, tree of the index), both without what is secret; the index stays as it is."""
    with tempfile.TemporaryDirectory(prefix="loki-hooks-") as folder:
        copy = Path(folder, "index")
        index = Path(git.out("rev-parse", "--path-format=absolute", "--git-path", "index"))
        if index.exists():
            shutil.copyfile(index, copy)
        env = {"GIT_INDEX_FILE": str(copy)}
        if secret:
            git.out(
                "--literal-pathspecs",
                "reset",
                "--quiet",
                "--pathspec-from-file=-",
                "--pathspec-file-nul",
                stdin=_nul(secret),
                env=env,
            )
        staged = git.out("write-tree", env=env)
        git.out(
            "update-index", "--add", "--remove", "--replace", "-z", "--stdin", stdin=_nul(saved), env=env, timeout=1800
        )
        return git.out("write-tree", env=env), staged


def _nul(paths: Iterable[str]) -> bytes:
    return "".join(f"{path}\0" for path in paths).encode("utf-8", "surrogateescape")


def clear(context: Context, record: StreamRecord, salvage: Salvage, time: str) -> str:
    """Take out of the worktree what was saved, after looking that it is still the same; return the trash folder or ''.

    Raises ``LokiError`` when something changed since; then everything is in its place.
    """
    path = Path(record.path)
    git = Git(path)
    secret = [p for p in salvage.aside if p not in salvage.saved]
    if salvage.work and _trees(git, salvage.saved, [p for p in secret if _is_tracked(git, p)])[0] != salvage.tree:
        raise LokiError(f"{path} changed while it was being saved", "somebody works in it: try again later")
    folder = ""
    if salvage.aside:
        folder = str(_private(context, f"{flat(record.stream)}-{time}"))
    try:
        for name in salvage.aside:
            _move(path / name.rstrip("/"), Path(folder) / name.rstrip("/"))
        git.out("reset", "--hard", "--quiet", timeout=1800)
    except (OSError, LokiError) as error:
        for name in salvage.aside:
            _move(Path(folder) / name.rstrip("/"), path / name.rstrip("/"))
        raise LokiError(f"cannot clear {path}: {error}", "it is as it was") from error
    for name in salvage.untracked:
        with contextlib.suppress(OSError):
            (path / name).unlink()
    return folder


def _is_tracked(git: Git, name: str) -> bool:
    return git.ok("--literal-pathspecs", "ls-files", "--error-unmatch", "--", name)


def _private(context: Context, name: str) -> Path:
    context.site.folder("trash").chmod(0o700)
    folder = context.site.folder("trash", name)
    folder.chmod(0o700)
    return folder


def _move(source: Path, target: Path) -> None:
    if not os.path.lexists(source) or os.path.lexists(target):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, target)


def bring_back(worktree: Path, work: str, index: str, folder: str) -> tuple[str, ...]:
    """Put into a clean worktree what ``save`` and ``clear`` took out; return the paths that stay in ``folder``.

    What stands in the way stays, and what would go there stays where it is.
    """
    git = Git(worktree)
    if work:
        git.out("restore", "--source", work, "--worktree", "--", ":/", timeout=1800)
    if index:
        git.out("read-tree", index)
        git.run("update-index", "-q", "--refresh")
    left = []
    root = Path(folder) if folder else None
    if root is None or root.is_symlink() or not root.is_dir():
        return ()
    try:
        files = sorted(files_in(root))
    except OSError:  # paths that are too long, say: it stays whole
        return tuple(sorted(path.name for path in root.iterdir()))
    for source in files:
        name = source.relative_to(root)
        target = worktree / name
        tracked = not target.is_symlink() and _is_tracked(git, str(name))
        leads_out = any((worktree / parent).is_symlink() for parent in name.parents)
        if leads_out or (os.path.lexists(target) and not tracked):
            left.append(str(name))
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if tracked:
            target.unlink(missing_ok=True)
        shutil.move(source, target)
    if not left:
        remove_tree(root)
    return tuple(left)


def trailers(git: Git, commit: str) -> Mapping[str, str]:
    """Return what a commit's ``Loki-…`` trailers say: Branch, Tip, Index, Head. {} for a commit that is not ``W``."""
    text = git.maybe("log", "-1", "--format=%(trailers:only,unfold)", commit) or ""
    pairs = (line.partition(": ")[::2] for line in text.splitlines() if line.startswith("Loki-"))
    found = {key.removeprefix("Loki-"): value for key, value in pairs}
    return found if "Tip" in found else {}
