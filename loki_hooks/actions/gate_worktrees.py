"""The worktrees that gates run in: brought to a commit, cleaned of what a run left, at rest in between.

Where one holds what is not ours (changes, an operation, a commit that no branch has) it is left alone.
"""

from __future__ import annotations

import os
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.domain.status import Status
from loki_hooks.domain.streams import StreamRecord
from loki_hooks.system.clock import now
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.git import Git, list_worktrees
from loki_hooks.system.status import Care, is_clean
from loki_hooks.system.worktrees import add, forget_missing, git_dir_of, operation_in

MARK = "loki-gate"
"""In a gate worktree's git dir: the commit that we checked out there last, and ``running`` until that run is tidied up."""


def prepare(context: Context, path: Path, commit: str, standing: str) -> bool:
    """Bring the worktree at ``path`` to ``commit``, detached; make it if need be. Return False when it is not ours to use."""
    entry = next((w for w in list_worktrees(context.git) if w.path == path), None)
    if entry is None or not path.is_dir():
        if os.path.lexists(path) and (path.is_symlink() or not path.is_dir() or any(path.iterdir())):
            return False
        _make(context, path, commit, standing)
    git = Git(path)
    mark = git_dir_of(path) / MARK
    ours, _, running = (read_plain(mark) or b"").decode("ascii", "replace").strip().partition(" ")
    here = git.commit_id("HEAD") or ""
    if running and ours == here and git.maybe("symbolic-ref", "-q", "HEAD") is None:
        tidy(context, git, path)  # a run of ours was killed here: what it left is ours
    if operation_in(git_dir_of(path)) or not is_clean(git, care=Care.HIDDEN):
        return False
    detached = git.maybe("symbolic-ref", "-q", "HEAD") is None
    if detached and here != ours and not git.out("for-each-ref", "--count=1", "--contains", "HEAD"):
        return False  # somebody's commit that no branch has
    write_atomic(mark, f"{commit} running\n")
    git.out("checkout", "--quiet", "--detach", commit, timeout=1800)
    return True


def _make(context: Context, path: Path, commit: str, standing: str) -> None:
    """Make a gate worktree; the first one of the gate ``testing`` rests on the testing stream's branch."""
    forget_missing(context.site, path)
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


def tidy(context: Context, git: Git, path: Path) -> None:
    """Clean what our own run left (never ignored files) and bring the testing stream back to rest.

    ``--force`` twice takes repositories that tests made too; the tree was clean when the run began.
    """
    git.run("reset", "--hard", "--quiet")
    git.run("clean", "-d", "--force", "--force", "--quiet")
    mark = git_dir_of(path) / MARK
    commit = (read_plain(mark) or b"").decode("ascii", "replace").partition(" ")[0].strip()
    write_atomic(mark, f"{commit}\n")
    rest(context, path)


def rest(context: Context, path: Path) -> None:
    """Put the testing worktree on its branch at the integration branch's tip. A branch with own commits is left alone."""
    record = context.store.read().streams.get("testing")
    if record is None or not record.branch or Path(record.path) != path:
        return
    git = Git(path)
    tip = git.commit_id(context.integration_ref)
    at = git.commit_id(f"refs/heads/{record.branch}")
    if tip is None or at is None or not git.is_ancestor(at, tip):
        return
    if git.run("checkout", "--quiet", record.branch, timeout=1800).returncode == 0 and at != tip:
        git.run("merge", "--ff-only", "--quiet", "--no-autostash", tip, timeout=1800)
