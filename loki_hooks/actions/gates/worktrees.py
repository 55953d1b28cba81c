"""The worktrees that gates run in: brought to a commit, cleaned of what a run left, at rest in between.

Where one holds what is not ours (changes, an operation, a commit that no branch has) it is left alone.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import Status
from loki_hooks.errors import LokiError, RefusedError
from loki_hooks.system.clock import now
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.git.git import Git, list_worktrees
from loki_hooks.system.git.operations import git_dir_of, operation_in
from loki_hooks.system.git.status import Care, ask
from loki_hooks.system.git.submodules import (
    bring_submodules,
    checked_out,
    may_have_submodules,
    out_of_place,
    take_out,
    take_out_what_goes,
)
from loki_hooks.system.git_folder import astray
from loki_hooks.system.processes.session_tree import end_runs_for
from loki_hooks.system.worktrees.registrations import forget_missing, give_pointer, is_empty, registration_of, set_aside
from loki_hooks.system.worktrees.registry import add, remove, wait_for_git
from loki_hooks.system.worktrees.run_made import note_of_run, remove_sockets, remove_what_came
from loki_hooks.system.worktrees.whole_checkout import make_whole

MARK = "loki-gate"
"""In the git dir of a gate worktree, and of its submodules: the commit that we checked out there last and, until that run is
tidied up, ``running`` and which folder it runs in."""
MAX_WORKTREES = 4
"""So many of one name are there at most."""
_LOCKS = ("index.lock", "HEAD.lock")
_PATIENCE = 5.0
"""Seconds that a git at work in a gate worktree, a person's perhaps, has to end."""


def prepare(context: Context, path: Path, commit: str, standing: str, *, fresh: bool = False) -> bool:
    """Bring the worktree at ``path`` to ``commit``, detached; make it if need be, anew if it is to be ``fresh``.

    Return False when it is not ours to use.
    """
    entry = next((w for w in list_worktrees(context.git) if w.path == path), None)
    if entry is None or not path.is_dir():
        if not is_empty(path):
            return False
        try:
            forget_missing(context.site, path, _marked(registration_of(context.site, path))[0])
        except RefusedError:  # it is away, with something in it
            return False
        _make(context, path, commit, standing)
    elif not _reclaim(context, path):
        return False
    end_runs_for(path, none_is_on=True)  # the caller has this worktree's lock
    git = Git(path, of=context.site.common)
    ours, running = _marked(git_dir_of(path))
    make_whole(path)
    if running and ours == git.commit_id("HEAD") and _is_detached(git):
        tidy(context, path)  # a run of ours was killed here: what it left is ours
    elif note_of_run(path).exists():
        remove_what_came(path)  # what could not be removed then may be removable now
    if _holds_somebodys(path) or note_of_run(path).exists():
        return False
    if fresh and entry is not None:
        remove(context.site, path)
        _make(context, path, commit, standing)
        make_whole(path)
    write_atomic(git_dir_of(path) / MARK, f"{commit} running {_identity(path)}\n")
    _check_out(git, "--detach", commit)
    bring_submodules(context.site, path, fetch=True)
    _mark_submodules(path)
    return True


def is_of_gate(context: Context, path: Path) -> bool:
    """Return whether the worktree is one that gates run in: by its place, or because one has run in it."""
    names = {gate.worktree for gate in context.config.in_force.gates.values()}
    places = (context.worktree_of_gate(name, number + 1) for name in names for number in range(MAX_WORKTREES))
    admin = registration_of(context.site, path)
    return path in places or (admin is not None and os.path.lexists(admin / MARK))


def _marked(git_dir: Path | None) -> tuple[str, str]:
    """Return what a gate worktree's git dir is marked with: our commit, and ``running …`` while it is being tested."""
    text = (read_plain(git_dir / MARK) or b"").decode("ascii", "replace") if git_dir is not None else ""
    ours, _, running = text.strip().partition(" ")
    return ours, running


def _identity(path: Path) -> str:
    """Return what tells a folder from another one that is put into its place."""
    found = path.stat()
    return f"{found.st_dev}:{found.st_ino}"


def _reclaim(context: Context, path: Path) -> bool:
    """Return whether the worktree is one, after giving it back a ``.git`` that a run of ours in this folder took away.

    What stands in the ``.git``'s place (a test's own repository, say) is put aside. Any other folder is left alone.
    """
    if not astray(path, context.site.common):
        return True
    admin = registration_of(context.site, path)
    if admin is None or not path.is_dir() or _marked(admin)[1] != f"running {_identity(path)}":
        return False
    if os.path.lexists(path / ".git"):
        set_aside(context.site, path / ".git")
    give_pointer(admin, path)
    return not astray(path, context.site.common)


def _mark_submodules(path: Path) -> None:
    for folder in checked_out(path):
        write_atomic(git_dir_of(folder) / MARK, f"{Git(folder).commit_id('HEAD')}\n")
        _mark_submodules(folder)


def _holds_somebodys(path: Path) -> bool:
    """Return whether a gate worktree that no run is in, or a submodule of it, has what no run of ours can have left."""
    git = Git(path)
    seen = ask(git, "--porcelain", "--untracked-files=all", "--ignore-submodules=all", care=Care.HIDDEN)
    if seen.returncode != 0 or seen.stdout or operation_in(git_dir_of(path)) or out_of_place(path):
        return True
    lonely = _is_detached(git) and git.commit_id("HEAD") != _marked(git_dir_of(path))[0]
    if lonely and not git.out("for-each-ref", "--count=1", "--contains", "HEAD"):
        return True  # somebody's commit that no branch has
    return any(_holds_somebodys(folder) for folder in checked_out(path))


def _is_detached(git: Git) -> bool:
    return git.maybe("symbolic-ref", "-q", "HEAD") is None


def _check_out(git: Git, *words: str) -> None:
    """Check a commit, or a branch, out where all that is there is ours. Raises ``LokiError``."""
    take_out_what_goes(git, words[-1])
    git.out("checkout", "--quiet", *words, timeout=1800)


def _make(context: Context, path: Path, commit: str, standing: str) -> None:
    """Make a gate worktree; the first one of the gate ``testing`` rests on the testing stream's branch."""
    branch = ""
    if standing == "testing":
        values = context.values(kind="testing", name="testing", stream="testing")
        branch = context.branch_for("testing", values, "testing")
    tip = context.git.commit_id(context.integration_ref) or commit
    if branch and context.git.commit_id(f"refs/heads/{branch}") is None:
        add(context.site, path, branch, tip, new_branch=True)
    elif branch and not any(w.branch == branch for w in list_worktrees(context.git)):
        add(context.site, path, branch, tip, new_branch=False)
    else:
        add(context.site, path, "", tip, new_branch=False)  # what is on no branch yet would be taken for somebody's
    if branch:
        keep_testing(context)


def keep_testing(context: Context) -> None:
    """See to it that the state knows the testing stream whenever its worktree is there: it may have lost it."""
    if "testing" in context.store.read().streams:
        return
    values = context.values(kind="testing", name="testing", stream="testing")
    branch = context.branch_for("testing", values, "testing")
    path = context.worktree_of_gate("testing")
    tip = context.git.commit_id(f"refs/heads/{branch}")
    if tip is None or not any(w.path == path and w.branch in {branch, ""} for w in list_worktrees(context.git)):
        return
    record = StreamRecord("testing", "testing", Status.WATCHING, str(path), branch, base=tip, created_at=now())
    context.store.update(lambda state: state if "testing" in state.streams else state.with_stream(record))


def tidy(context: Context, path: Path) -> None:
    """Clean what our own run left, whose processes have ended, and bring the testing stream back to rest.

    A run may have taken the ``.git`` away: where that cannot be put back, nothing is touched.
    """
    if not _reclaim(context, path):
        return
    make_whole(path)
    _clean(path)
    remove_what_came(path)
    write_atomic(git_dir_of(path) / MARK, f"{_marked(git_dir_of(path))[0]}\n")
    rest(context, path)


def _clean(path: Path) -> None:
    """Take back what our own run did to a worktree and its submodules, which were clean when it began.

    ``--force`` twice takes repositories that tests made too.
    """
    git = Git(path)
    for name in _LOCKS:
        lock = git_dir_of(path) / name
        if os.path.lexists(lock) and wait_for_git(path, _PATIENCE):  # whoever took it was of the run, which is over
            lock.unlink(missing_ok=True)
    git.run("reset", "--hard", "--quiet")
    at = _marked(git_dir_of(path))[0]
    if at and at != git.commit_id("HEAD"):
        git.run("checkout", "--quiet", "--force", "--detach", at, timeout=1800)
    for folder in out_of_place(path):
        take_out(folder, path)
    git.run("clean", "-d", "--force", "--force", "--quiet")
    remove_sockets(path)
    for folder in checked_out(path):
        _clean(folder)


def rest(context: Context, path: Path) -> None:
    """Put the testing worktree on its branch at the integration branch's tip. A branch with own commits is left alone."""
    record = context.store.read().streams.get("testing")
    if record is None or not record.branch or Path(record.path) != path or astray(path, context.site.common):
        return
    git = Git(path, of=context.site.common)
    tip = git.commit_id(context.integration_ref)
    at = git.commit_id(f"refs/heads/{record.branch}")
    if tip is None or at is None or not git.is_ancestor(at, tip):
        return
    if may_have_submodules(path) and _holds_somebodys(path):
        return
    with contextlib.suppress(LokiError):  # it is only where it rests: the next run says what is wrong, if anything is
        _check_out(git, record.branch)
        if at != tip:
            take_out_what_goes(git, tip)
            git.out("merge", "--ff-only", "--quiet", "--no-autostash", tip, timeout=1800)
        bring_submodules(context.site, path, fetch=False)
        _mark_submodules(path)
