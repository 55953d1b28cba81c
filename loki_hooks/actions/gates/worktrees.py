"""The worktrees that gates run in: brought to a commit, cleaned of what a run left, at rest in between.

What is there before a run and in no fresh checkout (`fresh_checkout.py`) is somebody's, unless our own run left it: such a
worktree is left alone, and another one is used.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import Status
from loki_hooks.errors import LokiError, RefusedError
from loki_hooks.system.clock import now
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.git.git import Git, list_worktrees
from loki_hooks.system.git.operations import clear_operation, git_dir_of, operation_in
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
from loki_hooks.system.worktrees.fresh_checkout import FreshCheckout, fresh_checkout
from loki_hooks.system.worktrees.registrations import forget_missing, give_pointer, is_empty, registration_of, set_aside
from loki_hooks.system.worktrees.registry import add_empty, take_back, wait_for_git
from loki_hooks.system.worktrees.run_made import (
    Made,
    note_of_run,
    note_what_is_left,
    remove_sockets,
    remove_what_came,
    unknown_ignored,
)
from loki_hooks.system.worktrees.whole_checkout import see_whole

MARK = "loki-gate"
"""In the git dir of a gate worktree, and of its submodules: the commit that we checked out there last and, until that run is
tidied up, ``running``, which folder it runs in, and the commit that was there before."""
MAX_WORKTREES = 4
"""So many of one name are there at most."""
_LOCKS = ("index.lock", "HEAD.lock")
_PATIENCE = 5.0
"""Seconds that a git at work in a gate worktree, a person's perhaps, has to end."""


@dataclass(frozen=True)
class _Mark:
    """What a gate worktree is marked with. ``folder`` is '' when no run is on."""

    commit: str = ""
    folder: str = ""
    before: str = ""

    def write(self, git_dir: Path) -> None:
        running = f" running {self.folder} {self.before}".rstrip() if self.folder else ""
        write_atomic(git_dir / MARK, f"{self.commit}{running}\n")

    @classmethod
    def of(cls, git_dir: Path | None) -> _Mark:
        text = (read_plain(git_dir / MARK) or b"").decode("ascii", "replace") if git_dir is not None else ""
        commit, _, folder, before, *_ = (*text.split(), "", "", "", "")
        return cls(commit, folder, before)


def prepare(context: Context, path: Path, commit: str, standing: str, *, fresh: bool = False) -> str:
    """Bring the worktree at ``path`` to ``commit``, detached; make it if need be, anew if it is to be ``fresh``.

    Return '', or why it is not ours to use. Raises ``LokiError``.
    """
    new = not any(w.path == path for w in list_worktrees(context.git)) or not path.is_dir()
    if new:
        if not is_empty(path):
            return "something else is in its place"
        try:
            forget_missing(context.site, path, _Mark.of(registration_of(context.site, path)).commit)
        except RefusedError as error:  # it is away, with something in it
            return error.message
        _make(context, path, commit, standing)
    elif not _reclaim(context, path):
        return "it is no worktree of this repository as it stands"
    end_runs_for(path, none_is_on=True)  # the caller has this worktree's lock
    new = new or _never_filled(path)
    if not new and (why := _why_not_tidy(context, path)):
        return why
    see_whole(path)
    with fresh_checkout(path, context.site.private) as there:
        if not new and (why := _holds_somebodys(context, there)):
            return why
        if new or not fresh:
            _bring(context, there, commit, new=new)
            return ""
    take_back(context.site, context.git, path, "", commit)
    return prepare(context, path, commit, standing)


def _never_filled(path: Path) -> bool:
    """Whether who made the worktree was killed before any file was in it."""
    return not (git_dir_of(path) / "index").exists() and {p.name for p in path.iterdir()} == {".git"}


def _why_not_tidy(context: Context, path: Path) -> str:
    """Tidy up what a killed run of ours left; return '', or why that cannot be done."""
    git, git_dir = Git(path, of=context.site.common), git_dir_of(path)
    if not _free_of_locks(path):
        return "git is at work in it"
    mark = _Mark.of(git_dir)
    try:
        if mark.folder and git.commit_id("HEAD") in {mark.commit, mark.before} and _is_where_runs_are(context, git):
            _tidy(context, path)  # a run of ours was killed here: what it left is ours
        elif note_of_run(path).exists():
            remove_what_came(path)  # what could not be removed then may be removable now
    except LokiError as error:
        return f"what an earlier run left cannot be removed: {error.message}"
    if note_of_run(path).exists():
        return "what an earlier run left cannot be removed"
    return ""


def _bring(context: Context, there: FreshCheckout, commit: str, *, new: bool) -> None:
    """Check ``commit`` out, submodules too. ``new``: there is no file yet. Raises ``LokiError``."""
    path = there.worktree
    git = Git(path, of=context.site.common)
    take_out_what_goes(git, commit)
    _Mark(commit, _identity(path), there.head).write(there.git_dir)
    _set_head(git, commit)
    there.check_out(commit, looked=not new)
    bring_submodules(context.site, path, fetch=True)
    for folder in checked_out(path):
        _settle(context, folder)


def is_of_gate(context: Context, path: Path) -> bool:
    """Return whether the worktree is one that gates run in: by its place, or because one has run in it."""
    names = {gate.worktree for gate in context.config.in_force.gates.values()}
    places = (context.worktree_of_gate(name, number + 1) for name in names for number in range(MAX_WORKTREES))
    admin = registration_of(context.site, path)
    return path in places or (admin is not None and os.path.lexists(admin / MARK))


def _set_head(git: Git, commit: str) -> None:
    git.out("update-ref", "--no-deref", "-m", "loki-hooks: gate", "HEAD", commit)


def _settle(context: Context, folder: Path) -> None:
    """Mark a submodule that we brought to its commit, and those in it, and have it as a fresh checkout."""
    with fresh_checkout(folder, context.site.private) as there:
        there.check_out(there.head)
        _Mark(there.head).write(there.git_dir)
    for inside in checked_out(folder):
        _settle(context, inside)


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
    if admin is None or not path.is_dir() or _Mark.of(admin).folder != _identity(path):
        return False
    if os.path.lexists(path / ".git"):
        set_aside(context.site, path / ".git")
    give_pointer(admin, path)
    return not astray(path, context.site.common)


def _holds_somebodys(context: Context, there: FreshCheckout) -> str:
    """Return '', or what a gate worktree that no run is in, or a submodule of it, has that no run of ours can have left."""
    path = there.worktree
    if changed := there.changes():
        return f"it holds somebody's changes ({_some(changed)})"
    if operation := operation_in(git_dir_of(path)):
        return f"a {operation} is in progress in it"
    if out_of_place(path):
        return f"another repository is in the place of a submodule ({_some([str(p) for p in out_of_place(path)])})"
    git = Git(path)
    lonely = _is_detached(git) and git.commit_id("HEAD") != _Mark.of(git_dir_of(path)).commit
    if lonely and not git.out("for-each-ref", "--count=1", "--contains", "HEAD"):
        return "somebody's commit that no branch has is checked out in it"
    for folder in checked_out(path):
        with fresh_checkout(folder, context.site.private) as inside:
            if why := _holds_somebodys(context, inside):
                return f"{folder.name}: {why}"
    unknown = unknown_ignored(path)
    return f"it holds somebody's ignored files ({_some(unknown)})" if unknown else ""


def _some(paths: Collection[str]) -> str:
    shown = ", ".join(list(paths)[:3])
    return f"{shown} and {len(paths) - 3} more" if len(paths) > 3 else shown


def _is_detached(git: Git) -> bool:
    return git.maybe("symbolic-ref", "-q", "HEAD") is None


def _is_where_runs_are(context: Context, git: Git) -> bool:
    """Whether HEAD is detached, as in a run of ours, or on the branch that the worktree rests on."""
    record = context.store.read().streams.get("testing")
    at = git.maybe("symbolic-ref", "-q", "--short", "HEAD")
    return at is None or (record is not None and Path(record.path) == git.cwd and at == record.branch)


def _free_of_locks(path: Path) -> bool:
    """Take away locks of a git that died in a gate worktree; return whether none is left."""
    for name in _LOCKS:
        lock = git_dir_of(path) / name
        if os.path.lexists(lock) and wait_for_git(path, _PATIENCE):
            lock.unlink(missing_ok=True)
    return not any(os.path.lexists(git_dir_of(path) / name) for name in _LOCKS)


def _make(context: Context, path: Path, commit: str, standing: str) -> None:
    """Make a gate worktree without files; the first one of the gate ``testing`` rests on the testing stream's branch."""
    branch = ""
    if standing == "testing":
        values = context.values(kind="testing", name="testing", stream="testing")
        branch = context.branch_for("testing", values, "testing")
    tip = context.git.commit_id(context.integration_ref) or commit
    if branch and context.git.commit_id(f"refs/heads/{branch}") is None:
        add_empty(context.site, path, branch, tip, new_branch=True)
    elif branch and not any(w.branch == branch for w in list_worktrees(context.git)):
        add_empty(context.site, path, branch, tip, new_branch=False)
    else:
        add_empty(
            context.site, path, "", tip, new_branch=False
        )  # what is on no branch yet would be taken for somebody's
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


def tidy(context: Context, path: Path, made: Made | None = None) -> None:
    """Clean what our own run left, whose processes have ended, and bring the testing stream back to rest.

    A run may have taken the ``.git`` away: where that cannot be put back, nothing is touched. What cannot be cleaned stays
    marked as a run's: nothing is tested there until it can be. ``made``: what set-up had made when its command began.
    """
    if _reclaim(context, path):
        with contextlib.suppress(LokiError):
            _tidy(context, path, made)


def _tidy(context: Context, path: Path, made: Made | None = None) -> None:
    see_whole(path)
    _restore(context, path)
    remove_what_came(path, made)
    mark = _Mark.of(git_dir_of(path))
    rest(context, path, restored=True)
    note_what_is_left(path)
    _Mark(mark.commit).write(git_dir_of(path))


def _restore(context: Context, path: Path) -> None:
    """Take back what our own run did to a worktree and its submodules, which were clean when it began. Raises ``LokiError``."""
    git, git_dir = Git(path), git_dir_of(path)
    _free_of_locks(path)  # whoever took one was of the run, which is over
    clear_operation(git_dir)
    at = _Mark.of(git_dir).commit
    if at and (at != git.commit_id("HEAD") or not _is_detached(git)):
        _set_head(git, at)
    with fresh_checkout(path, context.site.private) as there:
        there.check_out(there.head)
    for folder in out_of_place(path):
        take_out(folder, path)
    remove_sockets(path)
    for folder in checked_out(path):
        _restore(context, folder)


def rest(context: Context, path: Path, *, restored: bool = False) -> None:
    """Put the testing worktree on its branch at the integration branch's tip. A branch with own commits is left alone.

    ``restored``: what our own run did to it was taken back just now.
    """
    record = context.store.read().streams.get("testing")
    if record is None or not record.branch or Path(record.path) != path or astray(path, context.site.common):
        return
    git, ref = Git(path, of=context.site.common), f"refs/heads/{record.branch}"
    tip, at, head = git.commit_id(context.integration_ref), git.commit_id(ref), git.commit_id("HEAD")
    if tip is None or at is None or head is None or not (git.is_ancestor(at, tip) or _was_integrated(context, at)):
        return
    if any(w.branch == record.branch and w.path != path for w in list_worktrees(git)):
        return
    if head == at == tip and git.maybe("symbolic-ref", "-q", "HEAD") == ref:
        return
    mark = _Mark.of(git_dir_of(path))
    with contextlib.suppress(LokiError):  # it is only where it rests: the next run says what is wrong, if anything is
        with fresh_checkout(path, context.site.private) as there:
            if restored:
                there.believe()
            elif _holds_somebodys(context, there):
                return
            _Mark(tip, _identity(path), head).write(there.git_dir)
            take_out_what_goes(git, tip)
            if at != tip and not git.update_ref(ref, tip, at, "loki-hooks: follow"):
                return
            git.out("symbolic-ref", "-m", "loki-hooks: rest", "HEAD", ref)
            there.check_out(tip, looked=True)
        if may_have_submodules(path):
            bring_submodules(context.site, path, fetch=False)
            for folder in checked_out(path):
                _settle(context, folder)
        mark = _Mark(mark.commit, mark.folder, tip)
    mark.write(git_dir_of(path))


def _was_integrated(context: Context, commit: str) -> bool:
    """Whether the integration branch was at this commit once (and has been rewritten since): nobody's work is lost with it."""
    logged = context.git.run("rev-list", "--walk-reflogs", "--max-count=1000", context.integration_ref, "--")
    return commit in logged.text.split()
