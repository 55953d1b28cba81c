"""Worktrees: made so that many at once all succeed, locked with a reason that proves its owner, removed without force.

Parallel `git worktree add` loses: its processes race for ``config.lock`` and for each other's half-made
entries. Ours take turns at the part that races (a kernel lock; the checkout is outside it); foreign ones do
not know that lock, so the two known failures are tried again, and whatever a failed one left is taken back.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from loki_hooks.domain.streams.record import ProcessId
from loki_hooks.errors import GitFailedError, LokiError, RefusedError
from loki_hooks.system.files import read_plain
from loki_hooks.system.git.git import Git, list_worktrees
from loki_hooks.system.git.identity import NOBODY
from loki_hooks.system.git.operations import git_dir_of
from loki_hooks.system.git.status import as_stdin, left_by_checkout
from loki_hooks.system.git.submodules import checked_out, fill_submodules, gitlinks, take_out
from loki_hooks.system.locks import Held, hold
from loki_hooks.system.processes.alive import is_alive
from loki_hooks.system.site import Site
from loki_hooks.system.trees import remove_tree
from loki_hooks.system.worktrees.copies import exclude_worktree
from loki_hooks.system.worktrees.populate import is_writer, populate, sources
from loki_hooks.system.worktrees.setup_made import left_by_setup

_RACE = re.compile(
    r"config\.lock|could not lock config file|failed to read .*commondir|\.git/worktrees/", re.IGNORECASE
)
_TRIES = 12
_LOCK_REASON = re.compile(r"loki-hooks: session of (\S+) \(pid (\d+), started ([^)\s]+)\)")
_BEING_MADE = "initializing"
"""git's own reason while `git worktree add` is at work."""
LOCK_PATIENCE = 10.0


@dataclass(frozen=True)
class WantedWorktree:
    """A worktree at ``path`` on ``branch`` (made at ``commit`` when ``new_branch``); without a branch, detached there."""

    path: Path
    branch: str
    commit: str
    new_branch: bool = False


def add(site: Site, path: Path, branch: str, commit: str, *, new_branch: bool) -> None:
    """Make one worktree (see ``Wanted``) with its files checked out.

    Raises ``RefusedError`` when the path or the branch is in use, ``GitFailedError`` otherwise; then nothing is left.
    """
    for error in add_all(site, [WantedWorktree(path, branch, commit, new_branch)]).values():
        raise error


def add_empty(site: Site, path: Path, branch: str, commit: str, *, new_branch: bool) -> None:
    """Make one worktree, as `add` does, without its files and its index."""
    git = Git(site.root)
    taken = git.refs(f"refs/heads/{branch}") if new_branch else {}
    _register(site, git, WantedWorktree(path, branch, commit, new_branch), taken)


def add_all(site: Site, wanted: Sequence[WantedWorktree]) -> dict[Path, LokiError]:
    """Make worktrees with their files checked out, sharing the work.

    Returns what failed, by path: nothing is left of it.
    """
    git = Git(site.root)
    failed: dict[Path, LokiError] = {}
    made: dict[Path, WantedWorktree] = {}
    with sources(site, (want.commit for want in wanted)) as prepared:
        taken = git.refs(*(f"refs/heads/{want.branch}" for want in wanted)) if any(w.new_branch for w in wanted) else {}
        for want in wanted:
            try:
                _register(site, git, want, taken)
            except LokiError as error:
                failed[want.path] = error
            else:
                made[want.path] = want
        places = {path: (git_dir_of(path), _head(git, want)) for path, want in made.items()}
        left = populate(places, prepared)
    for path in made.keys() - left.keys():
        try:
            fill_submodules(site, path)
        except LokiError as error:
            left[path] = error
    for path in left:
        take_back(site, git, path, made[path].branch if made[path].new_branch else "", made[path].commit)
    return failed | left


def _head(git: Git, want: WantedWorktree) -> str:
    """Return the commit that the worktree is at."""
    if want.new_branch or not want.branch:
        return want.commit
    return git.commit_id(f"refs/heads/{want.branch}") or want.commit


def _register(site: Site, git: Git, want: WantedWorktree, taken: Collection[str]) -> None:
    """Have git make the worktree without its files. Raises ``LokiError``; then nothing is left.

    ``taken``: the branches, by full ref name, that were there a moment ago.
    """
    path, branch = want.path, want.branch
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RefusedError(f"{path} exists already", "move it away, or change worktrees.path in loki-hooks.toml")
    words = ["worktree", "add", "--no-checkout", "--quiet"]
    words += (
        ["--no-track", "-b", branch, str(path), want.commit]
        if want.new_branch
        else [str(path), branch]
        if branch
        else ["--detach", str(path), want.commit]
    )
    for attempt in range(_TRIES):
        there = git.commit_id(f"refs/heads/{branch}") is not None if attempt else f"refs/heads/{branch}" in taken
        if want.new_branch and there:
            raise RefusedError(
                f"the branch {branch} exists already", f"use it with --branch {branch}, or take another name"
            )
        with hold(site.private / "worktrees.lock"):
            if any(not is_half_made(admin) for admin in registrations_of(site, path)):
                raise RefusedError(
                    f"a worktree is registered in {path}, and its folder is not there",
                    f"bring it back, or `git worktree remove {path}` if it was deleted for good",
                )
            done = git.run(*words)
        if done.returncode == 0:
            if site.main is not None and site.main in path.parents:
                exclude_worktree(site.main, site.common, path)
            return
        somebodys = "already exists" in done.error_text  # made since we looked
        take_back(site, git, path, branch if want.new_branch and not somebodys else "", want.commit)
        if attempt + 1 == _TRIES or not _RACE.search(done.error_text):
            raise GitFailedError(tuple(words), done.returncode, done.error_text)
        time.sleep(random.uniform(0.01, 0.05) * (attempt + 1))  # noqa: S311  jitter, not a secret


def take_back(site: Site, git: Git, path: Path, branch: str, commit: str) -> None:
    """Undo a worktree that was only just made: its registration, its folder, and ``branch`` ('': none) if still at ``commit``."""
    with hold(site.private / "worktrees.lock"):
        pointer = path / ".git"
        if pointer.is_file():
            admin = git_dir_of(path)
            if admin.parent == site.common / "worktrees":
                remove_tree(admin)
            remove_tree(path)
        with contextlib.suppress(OSError):
            path.rmdir()  # only an empty one
        for admin in registrations_of(site, path):
            remove_tree(admin)
        if branch:
            git.delete_ref(f"refs/heads/{branch}", commit)


def registrations_of(site: Site, path: Path) -> list[Path]:
    """Return the registrations (folders below ``worktrees/`` of the common git dir) that say that they are at ``path``."""
    found = []
    here = {path / ".git", Path(os.path.realpath(path), ".git")}
    for admin in sorted((site.common / "worktrees").glob("*")):
        text = (read_plain(admin / "gitdir") or b"").decode("utf-8", "surrogateescape").strip()
        if text and Path(os.path.normpath(admin / text)) in here:
            found.append(admin)
    return found


def is_half_made(admin: Path) -> bool:
    """Whether `git worktree add` ended before it said what is checked out."""
    head = (read_plain(admin / "HEAD") or b"").decode("ascii", "replace").strip()
    return not head.strip("0")


def clear_half_made(site: Site, path: Path) -> None:
    """Take away what a killed `git worktree add` left at ``path``, when that is nothing but its beginnings."""
    with hold(site.private / "worktrees.lock"):
        pointer = path / ".git"
        if path.is_dir() and any(entry != pointer for entry in path.iterdir()):
            return
        admins = {*registrations_of(site, path), *([git_dir_of(path)] if pointer.is_file() else [])}
        if any(admin.parent != site.common / "worktrees" or not is_half_made(admin) for admin in admins):
            return
        for admin in admins:
            remove_tree(admin)
        with contextlib.suppress(OSError):
            pointer.unlink(missing_ok=True)
            path.rmdir()


def finish(site: Site, path: Path) -> None:
    """Check the files out in a worktree of ours whose maker was killed before or while it did. Raises ``LokiError``.

    An index is what a checkout writes last: without one the files are not, or not all, there.
    """
    unlock_if(site, path, lambda reason: reason == _BEING_MADE)
    git_dir = git_dir_of(path)
    if not (git_dir / "index").exists():
        (git_dir / "index.lock").unlink(missing_ok=True)
        Git(path, of=site.common).out("reset", "--hard", "--quiet", timeout=1800)
    fill_submodules(site, path)


def wait_for_git(path: Path, timeout: float) -> bool:
    """Wait until no git process works on the worktree ``path`` (a killed spawn's may go on); return whether none does."""
    import psutil

    deadline = time.monotonic() + timeout
    while True:
        busy = False
        for process in psutil.process_iter(["name"]):
            with contextlib.suppress(psutil.Error):
                if process.info["name"] == "git":
                    busy = busy or str(path) in process.cmdline() or process.cwd() == str(path)
                elif (process.info["name"] or "").startswith("python"):
                    busy = busy or is_writer(process.cmdline(), path)
        if not busy or time.monotonic() > deadline:
            return not busy
        time.sleep(0.05)


def lock_reason(stream: str, owner: ProcessId) -> str:
    return f"loki-hooks: session of {stream} (pid {owner.pid}, started {owner.started})"


@dataclass(frozen=True)
class Locked:
    """The proof that a worktree is locked: for us (``ours``), or by somebody whose lock protects it just as well."""

    reason: str
    ours: bool


def lock(site: Site, path: Path, stream: str, owner: ProcessId) -> Locked:
    """Lock the worktree for a live session, replacing a lock of ours whose owner is dead; return the proof.

    A stage may begin while the runner of the one before is about to leave: that lock is waited for. A person's lock
    stays as it is. Raises ``RefusedError`` when another session keeps it, ``LokiError`` when git cannot lock it.
    """
    wanted = lock_reason(stream, owner)
    deadline = time.monotonic() + LOCK_PATIENCE
    while True:
        unlock_dead(site, path)
        with _lock_turn(site):
            done = Git(site.root).run("worktree", "lock", "--reason", wanted, str(path))
            reason = wanted if done.returncode == 0 else _reason(site, path)
        if done.returncode == 0:
            return Locked(wanted, True)
        passing = reason is None or reason == _BEING_MADE or _LOCK_REASON.search(reason) is not None
        if reason is not None and not passing:
            return Locked(reason, False)
        if time.monotonic() > deadline:
            if reason is None:
                raise GitFailedError(("worktree", "lock", str(path)), done.returncode, done.error_text)
            raise RefusedError(f"{path} is locked: {reason}", "stop that session first")
        time.sleep(0.05)


def unlock(site: Site, path: Path, owner: ProcessId) -> bool:
    """Unlock the worktree if the lock is this owner's; return whether it was."""
    return unlock_if(site, path, lambda reason: f"(pid {owner.pid}, started {owner.started})" in reason)


def unlock_dead(site: Site, path: Path) -> bool:
    """Unlock the worktree if the lock is a session's of ours that is provably over; return whether it was."""
    reason = _reason(site, path)
    return reason is not None and lock_is_dead(reason) and unlock_if(site, path, lock_is_dead)


def unlock_if(site: Site, path: Path, is_meant: Callable[[str], bool]) -> bool:
    """Unlock the worktree if its lock is meant, by its reason; return whether it was.

    Ours take turns at this and at locking: between the look and the act nobody else's lock can take the place.
    """
    with _lock_turn(site):
        reason = _reason(site, path)
        if reason is None or not is_meant(reason):
            return False
        return Git(site.root).run("worktree", "unlock", str(path)).returncode == 0


def _lock_turn(site: Site) -> Held:
    return hold(site.private / "worktree-locks.lock")


def lock_is_dead(reason: str) -> bool:
    """Return whether the reason names a process of ours that is not alive any more. Unknown means still held."""
    found = _LOCK_REASON.search(reason)
    return found is not None and not is_alive(ProcessId(int(found[2]), found[3]))


def _reason(site: Site, path: Path) -> str | None:
    for entry in list_worktrees(Git(site.root)):
        if entry.path == path:
            return entry.locked
    return None


def remove(site: Site, path: Path) -> None:
    """Remove a worktree by git's own, never forced, removal. Raises ``GitFailedError`` when git refuses.

    git refuses any worktree whose index has a submodule. There, submodules are taken out first, unless one is modified, and a
    commit without them is checked out. (`git submodule deinit` would take them out of the configuration of all worktrees.)
    """
    git = Git(path, of=site.common)
    _remove_made(git)
    if gitlinks(git):
        branch = git.maybe("symbolic-ref", "-q", "--short", "HEAD")
        words = ("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=none")
        if changed := git.out(*words):
            raise GitFailedError(("worktree", "remove", str(path)), 1, f"it has changes: {changed.strip()}")
        for folder in checked_out(path):
            take_out(folder, path)
        remove_tree(git_dir_of(path) / "modules")
        git.out("checkout", "--quiet", "--detach", "--no-overwrite-ignore", _without_submodules(git), timeout=1800)
        done = Git(site.root).run("worktree", "remove", str(path))
        if done.returncode != 0:
            git.run("checkout", "--quiet", *([branch] if branch else ["-"]), timeout=1800)
            raise GitFailedError(("worktree", "remove", str(path)), done.returncode, done.error_text)
        return
    nobodys = left_by_checkout(git)
    if not nobodys:
        Git(site.root).out("worktree", "remove", str(path))
        return
    flag = ("update-index", "-z")  # git takes what its own checkout left modified for changes, and refuses
    git.out(*flag, "--assume-unchanged", "--stdin", stdin=as_stdin(nobodys))
    done = Git(site.root).run("worktree", "remove", str(path))
    if done.returncode != 0:
        git.run(*flag, "--no-assume-unchanged", "--stdin", stdin=as_stdin(nobodys))
        raise GitFailedError(("worktree", "remove", str(path)), done.returncode, done.error_text)


def _remove_made(git: Git) -> None:
    """Take out what set-up left untracked and nobody wrote to since: git refuses a worktree with untracked files."""
    for name in left_by_setup(git.cwd):
        if git.run("ls-files", "--error-unmatch", "--", f":(literal){name}").returncode != 0:
            (git.cwd / name).unlink(missing_ok=True)


def _without_submodules(git: Git) -> str:
    """Return a commit like HEAD that has no submodules: what is ignored stays ignored in it."""
    index = git_dir_of(git.cwd) / "loki-index"
    env = {"GIT_INDEX_FILE": str(index)}
    try:
        git.out("read-tree", "HEAD", env=env)
        listed = "".join(f"{path}\0" for path in gitlinks(git)).encode("utf-8", "surrogateescape")
        git.out("update-index", "--force-remove", "-z", "--stdin", stdin=listed, env=env)
        return git.out("commit-tree", git.out("write-tree", env=env), "-m", "without submodules", env=NOBODY)
    finally:
        index.unlink(missing_ok=True)
