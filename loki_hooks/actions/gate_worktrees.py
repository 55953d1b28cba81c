"""The worktrees that gates run in: brought to a commit, cleaned of what a run left, at rest in between.

Where one holds what is not ours (changes, an operation, a commit that no branch has) it is left alone.
"""

from __future__ import annotations

import os
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.domain.status import Status
from loki_hooks.domain.streams import StreamRecord
from loki_hooks.errors import RefusedError
from loki_hooks.system.clock import now
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.git import Git, list_worktrees
from loki_hooks.system.git_folder import astray
from loki_hooks.system.registrations import forget_missing, give_pointer, is_empty, registration_of, set_aside
from loki_hooks.system.status import Care, is_clean
from loki_hooks.system.worktrees import add, git_dir_of, operation_in

MARK = "loki-gate"
"""In a gate worktree's git dir: the commit that we checked out there last and, until that run is tidied up, ``running`` and
which folder it runs in."""


def prepare(context: Context, path: Path, commit: str, standing: str) -> bool:
    """Bring the worktree at ``path`` to ``commit``, detached; make it if need be. Return False when it is not ours to use."""
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
    git = Git(path, of=context.site.common)
    mark = git_dir_of(path) / MARK
    ours, running = _marked(git_dir_of(path))
    here = git.commit_id("HEAD") or ""
    if running and ours == here and git.maybe("symbolic-ref", "-q", "HEAD") is None:
        tidy(context, git, path)  # a run of ours was killed here: what it left is ours
    if operation_in(git_dir_of(path)) or not is_clean(git, care=Care.HIDDEN):
        return False
    detached = git.maybe("symbolic-ref", "-q", "HEAD") is None
    if detached and here != ours and not git.out("for-each-ref", "--count=1", "--contains", "HEAD"):
        return False  # somebody's commit that no branch has
    write_atomic(mark, f"{commit} running {_identity(path)}\n")
    git.out("checkout", "--quiet", "--detach", commit, timeout=1800)
    return True


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


def tidy(context: Context, git: Git, path: Path) -> None:
    """Clean what our own run left (never ignored files) and bring the testing stream back to rest.

    ``--force`` twice takes repositories that tests made too; the tree was clean when the run began. A run may have taken
    the ``.git`` away: where that cannot be put back, nothing is touched.
    """
    if not _reclaim(context, path):
        return
    git.run("reset", "--hard", "--quiet")
    git.run("clean", "-d", "--force", "--force", "--quiet")
    mark = git_dir_of(path) / MARK
    write_atomic(mark, f"{_marked(mark.parent)[0]}\n")
    rest(context, path)


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
    if git.run("checkout", "--quiet", record.branch, timeout=1800).returncode == 0 and at != tip:
        git.run("merge", "--ff-only", "--quiet", "--no-autostash", tip, timeout=1800)
