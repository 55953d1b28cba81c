"""Keep what is uncommitted in a worktree that goes to the trash, and bring it back.

Changes and untracked files become one commit ``W`` on top of the branch's tip. Its trailers say what is what:

    Loki-Branch: feature/auth      Loki-Tip: <the branch's tip>
    Loki-Index: <a commit of what was staged>, where that differs    Loki-Head: <a detached HEAD>, where there was one

A secret, by its file's name or by what the file holds, never becomes an object in git: such files, precious ignored
ones, and folders that are
repositories of their own are moved to ``.loki/trash/<stream>-<time>/`` (0700), under the paths that they had.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.domain.names import flat
from loki_hooks.domain.removal.classify import WorktreeFacts
from loki_hooks.domain.secrets import Secrets
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.errors import LokiError
from loki_hooks.system.files import MAX_BYTES
from loki_hooks.system.git.git import Git, split_z
from loki_hooks.system.git.identity import NOBODY
from loki_hooks.system.git.snapshots import Trees, trees
from loki_hooks.system.git.status import LOOK_YOURSELF, Care, entries
from loki_hooks.system.trees import files_in, folders_with, remove_tree
from loki_hooks.system.worktrees.registrations import commits_in, keeper_of, registration_of, staged_tree
from loki_hooks.system.worktrees.secrets import secret_paths, secrets_of


@dataclass(frozen=True)
class Salvage:
    """What is to be kept of a worktree. ``work`` is ``W`` ('' when nothing is uncommitted); ``tree`` its tree.

    ``saved``: paths that are in ``W``; ``aside``: what is moved.
    """

    tip: str
    head: str
    work: str = ""
    tree: str = ""
    index: str = ""
    saved: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()


def save(context: Context, record: StreamRecord, facts: WorktreeFacts) -> Salvage:
    """Make the commits of what is uncommitted. Changes nothing in the worktree. Raises ``LokiError``."""
    git = Git(Path(record.path), of=context.site.common)
    tip = context.git.commit_id(f"refs/heads/{record.branch}") or ""
    head = git.commit_id("HEAD") or tip
    secrets = secrets_of(context.site.main, git.cwd, record.copied)
    is_secret = secret_paths(git.cwd, secrets)
    staged_secret = staged_secrets(git, secrets)
    apart = tuple(p for p in facts.untracked if p.endswith("/") or is_secret(p))
    secret = tuple(p for p in facts.modified if p in staged_secret or is_secret(p))
    saved = tuple(p for p in (*facts.modified, *facts.untracked) if p not in {*apart, *secret})
    aside = (*apart, *secret, *facts.precious)
    parents = [p for p in dict.fromkeys((tip, head)) if p]
    if not saved and len(parents) < 2:
        return Salvage(tip, head, aside=aside)
    made = _trees(git, saved, secret)
    index = staged_commit(git, record.stream, made.index, head) if made.index != made.files else ""
    work = _work(git, record, made.files, tip, head, index)
    return Salvage(tip, head, work, made.files, index, saved, aside)


def save_registered(context: Context, record: StreamRecord) -> Salvage:
    """The same for a worktree whose folder is gone, from what git still has of it: where HEAD is and was, what was staged."""
    git = context.git
    admin = registration_of(context.site, Path(record.path))
    tip = git.commit_id(f"refs/heads/{record.branch}") or ""
    if admin is None:
        return Salvage(tip, tip)
    head = Git(admin).run(f"--git-dir={admin}", "rev-parse", "--verify", "--quiet", "HEAD^{commit}").text.strip() or tip
    tree = staged_tree(admin) or (git.tree_id(head) if head else "")
    keeper = keeper_of(git, commits_in(admin), f"What the registration of {record.stream} still knew")
    if not head or (head == tip and tree == git.tree_id(head) and not keeper):
        return Salvage(tip, head)
    return Salvage(tip, head, _work(git, record, tree, tip, head, "", keeper), tree)


def _work(git: Git, record: StreamRecord, tree: str, tip: str, head: str, index: str, keeper: str = "") -> str:
    """Make ``W``. ``keeper``: a commit of what else is to be kept with it."""
    said = {"Branch": record.branch, "Tip": tip} | ({"Index": index} if index else {})
    said |= {"Head": head} if head != tip else {}
    return commit_work(git, record.stream, tree, [p for p in dict.fromkeys((tip, head, index, keeper)) if p], said)


def staged_secrets(git: Git, secrets: Secrets) -> frozenset[str]:
    """Return the paths of which the index has a secret that the worktree may not have any more."""
    listed = list(split_z(git.out("diff-index", "--cached", "--no-renames", "-z", "--diff-filter=d", "HEAD")))
    found = set()
    for about, path in zip(listed[::2], listed[1::2], strict=True):
        blob = about.split(" ")[3]
        size = git.maybe("cat-file", "-s", blob) if about.split(" ")[1] != "160000" else None
        if (
            size is not None
            and int(size) <= MAX_BYTES
            and secrets.within(path, git.run("cat-file", "blob", blob).stdout)
        ):
            found.add(path)
    return frozenset(found)


def _commit(git: Git, tree: str, parents: Sequence[str], message: str) -> str:
    words = [word for parent in parents for word in ("-p", parent)]
    return git.out("commit-tree", tree, *words, "-F", "-", stdin=message.encode("utf-8", "surrogateescape"), env=NOBODY)


def _trees(git: Git, saved: Sequence[str], secret: Sequence[str]) -> Trees:
    made = trees(git.cwd, saved, withheld=secret, by_content=True)
    if made.unreadable:
        raise LokiError(f"git cannot read {made.unreadable[0]}", "nothing was changed")
    return made


def staged_commit(git: Git, stream: str, index: str, head: str) -> str:
    """Return a commit of what is staged, '' when that is nothing (or no tree)."""
    if not index or index == git.tree_id(head):
        return ""
    return _commit(git, index, [head], f"What was staged in {stream}\n")


def commit_work(git: Git, stream: str, tree: str, parents: Sequence[str], facts: Mapping[str, str]) -> str:
    """Return ``W``: ``facts`` become its trailers."""
    lines = [_subject(stream), "", *(f"Loki-{key}: {value}" for key, value in facts.items())]
    return _commit(git, tree, parents, "\n".join(lines) + "\n")


def clear(context: Context, record: StreamRecord, salvage: Salvage, time: str) -> str:
    """Take out of the worktree what was saved, after looking that it is still the same; return the trash folder or ''.

    Raises ``LokiError`` when something changed since; then everything is in its place.
    """
    path = Path(record.path)
    git = Git(path, of=context.site.common)
    secret = [p for p in salvage.aside if p not in salvage.saved]
    if salvage.work and _trees(git, salvage.saved, [p for p in secret if _is_tracked(git, p)]).files != salvage.tree:
        raise LokiError(f"{path} changed while it was being saved", "somebody works in it: try again later")
    folder = ""
    if salvage.aside:
        folder = str(_private(context, f"{flat(record.stream)}-{time}"))
    try:
        for name in salvage.aside:
            _move(path / name.rstrip("/"), Path(folder) / name.rstrip("/"))
        _reset(git, salvage.saved)
    except (OSError, LokiError) as error:
        with contextlib.suppress(LokiError):
            bring_back(path, salvage.work, salvage.index, "")
        for name in salvage.aside:
            _move(Path(folder) / name.rstrip("/"), path / name.rstrip("/"))
        raise LokiError(f"cannot clear {path}: {error}", "it is as it was") from error
    return folder


def _reset(git: Git, saved: Collection[str]) -> None:
    """Bring what was saved to what HEAD has, also what `git reset` passes by: untracked files, and what hides from it."""
    reset = (*LOOK_YOURSELF, "reset", "--hard", "--quiet")
    git.out(*reset, timeout=1800)
    left = [entry for entry in entries(git, care=Care.CONTENT) if entry.path in saved]
    for entry in left:
        with contextlib.suppress(OSError):
            (git.cwd / entry.path).unlink()
    if any(not entry.untracked for entry in left):
        git.out(*reset, timeout=1800)


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
    _move_repositories(root, worktree)
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


def _subject(stream: str) -> str:
    return f"Uncommitted work of {stream}"


def is_ours(git: Git, commit: str, stream: str) -> bool:
    """Whether the commit is of the form of ``W``: nobody's, with its subject."""
    said = git.maybe("log", "-1", "--no-show-signature", "--format=%an%n%ae%n%cn%n%ce%n%s", commit)
    return said is not None and said.splitlines() == [*NOBODY.values(), _subject(stream)]


def _move_repositories(root: Path, worktree: Path) -> None:
    """Move repositories whole: git knows none whose empty folders are missing."""
    with contextlib.suppress(OSError):
        for source in [folder for folder in folders_with(root, ".git") if folder != root]:
            target = worktree / source.relative_to(root)
            leads_out = any(parent.is_symlink() for parent in target.parents if worktree in parent.parents)
            if not leads_out and not os.path.lexists(target):
                _move(source, target)


def trailers(git: Git, commit: str) -> Mapping[str, str]:
    """Return what a commit's ``Loki-…`` trailers say: Branch, Tip, Index, Head. {} for a commit that is not ``W``."""
    text = git.maybe("log", "-1", "--format=%(trailers:only,unfold)", commit) or ""
    pairs = (line.partition(": ")[::2] for line in text.splitlines() if line.startswith("Loki-"))
    found = {key.removeprefix("Loki-"): value for key, value in pairs}
    return found if "Tip" in found else {}
