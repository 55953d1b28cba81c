"""Move the integration branch, by the one rule that there is (README, "How it lands").

Where the branch is checked out, that worktree must be on it with no operation in progress, nothing staged, no
git at work in it, and no change or untracked file on the paths that land; then `git merge --ff-only` *there*
is the move. Only a branch that no worktree holds moves by compare-and-swap. Every other case waits, with the
reason, and everything stays as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.errors import GitFailedError, LokiError, reason_in
from loki_hooks.system.git.fast_forward import fast_forward
from loki_hooks.system.git.git import Git, WorktreeEntry, list_worktrees, split_z
from loki_hooks.system.git.operations import branch_held_by_operation, git_dir_of, operation_in
from loki_hooks.system.git.status import entries, flagged_paths
from loki_hooks.system.git.submodules import follow_landing
from loki_hooks.system.git_folder import astray
from loki_hooks.system.locks import PassLock
from loki_hooks.system.site import discover


@dataclass(frozen=True)
class Advance:
    """``moved`` False: ``reason`` says what stands in the way; nothing was changed."""

    moved: bool
    reason: str = ""


def advance(context: Context, lock: PassLock, new: str, old: str, why: str) -> Advance:
    """Move the integration branch from ``old`` to its descendant ``new``, and prove that it is there.

    ``lock`` proves that nobody else of ours moves it meanwhile.
    """
    lock.require(context.site)
    git = context.git
    if git.commit_id(context.integration_ref) != old:
        return Advance(False, f"{context.integration} moved meanwhile")
    if not git.is_ancestor(old, new):
        return Advance(False, f"{new[:12]} does not contain {context.integration}")
    held = branch_held_by_operation(context.site, context.integration)
    if held:
        return Advance(False, held)
    holders = [w for w in list_worktrees(git) if w.branch == context.integration and not w.bare]
    if len(holders) > 1:  # moved in the one, it would look in the others as if the new files were deleted
        return Advance(
            False,
            f"{context.integration} is checked out in {len(holders)} worktrees: {_some([str(h.path) for h in holders])}",
        )
    if holders:
        for holder in holders:
            reason = obstacle(holder, git, old, new)
            if reason:
                return Advance(False, reason)
        there = Git(holders[0].path)
        done = fast_forward(there, new, why)
        if done.returncode != 0:
            return Advance(False, f"git refused in {holders[0].path}: {reason_in(done.error_text)}")
        with suppress(LokiError):  # then they stay as a person's own merge would leave them
            follow_landing(context.site, holders[0].path, old)
    elif not git.update_ref(context.integration_ref, new, old, f"loki-hooks: {why}"):
        return Advance(False, f"{context.integration} moved meanwhile")
    if git.commit_id(context.integration_ref) != new:
        return Advance(False, f"{context.integration} is not at {new[:12]} after the move")
    return Advance(True)


def obstacle(holder: WorktreeEntry, git: Git, old: str, new: str) -> str:
    """Return '' or why the branch must not move in the worktree that holds it."""
    where = holder.path
    if not where.is_dir():
        return f"the worktree {where} that holds the branch is missing"
    stray = astray(where)
    if stray:
        return f"the worktree that holds the branch is none any more: {stray}"
    git_dir = git_dir_of(where)
    if where == discover(where).main and Git(where).config("core.bare") == "true":
        return f"core.bare is set, so git does not work in {where}: `loki-hooks doctor --fix` takes it out"
    operation = operation_in(git_dir)
    if operation:
        return f"a {operation} is in progress in {where}"
    if (git_dir / "index.lock").exists():
        return f"the index of {where} is locked (another git is at work, or died there)"
    there = Git(where)
    if there.maybe("symbolic-ref", "-q", "HEAD") != f"refs/heads/{holder.branch}":
        return f"{where} is not on {holder.branch}"
    try:
        changed = entries(there, untracked="no")
    except GitFailedError as error:
        return f"git cannot tell the state of {where}: {reason_in(error.stderr)}"
    staged = [entry.path for entry in changed if entry.staged]
    if staged:
        return f"{where} has staged changes ({_some(staged)}): commit or unstage them"
    landing = git.changed_paths(old, new)
    clash = {entry.path for entry in changed if _touches(entry.path, landing)}
    clash |= _in_the_way(git, where, old, landing) | _unwatched(there, where, landing)
    if clash:
        return f"{where} has changes on paths that land ({_some(sorted(clash))}): commit them or move them away"
    busy = _git_at_work(where)
    return f"git is at work in {where} ({busy})" if busy else ""


def _touches(path: str, landing: Iterable[str]) -> bool:
    """Whether a dirty path is, contains or is below one that lands."""
    folder = path.rstrip("/")
    return any(p == folder or p.startswith(f"{folder}/") or folder.startswith(f"{p}/") for p in landing)


def _in_the_way(git: Git, where: Path, old: str, landing: Iterable[str]) -> set[str]:
    """Return what stands, untracked or ignored alike, where a new file lands, or as a file where its folder lands.

    git's own merge would overwrite an ignored one without a word.
    """
    known = set(split_z(git.out("ls-tree", "-r", "-z", "--name-only", old)))
    found = set()
    for path in landing:
        if path in known:
            continue
        if os.path.lexists(where / path):
            found.add(path)
        for parent in Path(path).parents:
            name = parent.as_posix()
            if name != "." and name not in known and (where / parent).is_symlink() | (where / parent).is_file():
                found.add(name)
    return found


def _unwatched(there: Git, where: Path, landing: Iterable[str]) -> set[str]:
    """Return the landing paths that the user told git not to look at (assume-unchanged, skip-worktree) and that are there."""
    return {path for path in flagged_paths(there).intersection(landing) if os.path.lexists(where / path)}


def _git_at_work(where: Path) -> str:
    """Return '' or which git process has its working folder in ``where`` (a commit whose editor is open, say).

    Processes that we descend from are git calling our hook: they are waited for elsewhere.
    """
    import psutil

    ours = {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    for process in psutil.process_iter(["name"]):
        if process.info["name"] != "git" or process.pid in ours:
            continue
        try:
            words, folder = process.cmdline(), Path(process.cwd())
        except psutil.Error:
            continue
        verbs = {
            "commit",
            "merge",
            "rebase",
            "cherry-pick",
            "revert",
            "am",
            "checkout",
            "switch",
            "reset",
            "pull",
            "stash",
        }
        if verbs & set(words[1:6]) and (folder == where or where in folder.parents):
            return f"`{' '.join(words[:3])}`, pid {process.pid}"
    return ""


def _some(paths: list[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
