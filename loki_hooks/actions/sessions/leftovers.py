"""Commit what an agent left uncommitted: never secrets, never what we copied in, never something huge.

Secrets are told by their names, at any depth, and by what they hold (`domain/secrets.py`). A file above ``MAX_BYTES``, and a
repository inside the repository, are nobody's to commit unasked; nor is more than ``MAX_TOTAL`` at once. What stays
uncommitted for such a reason makes the stream ``escalated``, with the list.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.domain.secrets import without_credentials
from loki_hooks.domain.sessions.refusal import why_refused
from loki_hooks.domain.sessions.titles import fitting_title
from loki_hooks.errors import reason_in
from loki_hooks.system.files import open_fresh
from loki_hooks.system.git.git import Git, split_z
from loki_hooks.system.git.merges import why_unsigned
from loki_hooks.system.git.operations import git_dir_of, operation_in
from loki_hooks.system.git.status import LOOK_YOURSELF, Uncommitted, as_stdin, entries
from loki_hooks.system.store import events
from loki_hooks.system.worktrees.secrets import scrubber_for, secret_paths, secrets_of
from loki_hooks.system.worktrees.setup_made import left_by_setup
from loki_hooks.system.worktrees.variables import variables

if TYPE_CHECKING:
    from loki_hooks.actions.context import Context
    from loki_hooks.domain.streams.record import StreamRecord

MAX_BYTES = 10 * 1024 * 1024
MAX_TOTAL = 50 * 1024 * 1024
COMMIT_TIMEOUT = 600.0
_NEVER = "secrets, large files and repositories within are never committed by themselves"


def commit_leftovers(context: Context, record: StreamRecord, *, wanted: bool) -> tuple[tuple[str, ...], str]:
    """Commit what may be committed (when ``wanted``); return the paths that stay uncommitted, and why.

    The commit runs the user's hooks, ours off. A hook that changes files (a formatter that wants a second commit, say)
    gets one more; one that refuses keeps everything as it is.
    """
    git = Git(Path(record.path), of=context.site.common)
    left = _leftovers(git, record, context.site.main)
    if not wanted:
        return left.paths, "" if not left.paths else "session.commit is off or the session did not end well"
    why = ""
    for _ in range(2):
        if not left.todo:
            return left.kept, _NEVER if left.kept else ""
        why = _obstacle(git, left)
        if why:
            return left.paths, why
        refused = _commit(context, git, record, left)
        before, left = left, _leftovers(git, record, context.site.main)
        why = refused or "a hook changed files after they were committed"
        if refused and not _changed(before, left):
            break
    if not left.todo:
        return left.kept, _NEVER if left.kept else ""
    return left.paths, why


@dataclass(frozen=True)
class _Leftovers:
    """What is uncommitted: ``todo`` may be committed, ``kept`` never is."""

    todo: tuple[Uncommitted, ...]
    kept: tuple[str, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        return (*self.kept, *(entry.path for entry in self.todo))


def _leftovers(git: Git, record: StreamRecord, main: Path | None) -> _Leftovers:
    copied = {name for name, _ in record.copied}
    made = left_by_setup(git.cwd)
    found = [e for e in entries(git, submodules=False) if not (e.untracked and e.path in made)]
    is_secret = secret_paths(git.cwd, secrets_of(main, git.cwd, record.copied))
    kept = {e.path for e in found if e.path in copied or _is_kept(git.cwd / e.path) or is_secret(e.path)}
    return _Leftovers(tuple(e for e in found if e.path not in kept), tuple(e.path for e in found if e.path in kept))


def _is_kept(path: Path) -> bool:
    return _huge(path) or _is_repository(path)


def _obstacle(git: Git, left: _Leftovers) -> str:
    """Return '' or why nothing is committed at all."""
    total = sum(_size(git.cwd / entry.path) for entry in left.todo)
    if total > MAX_TOTAL:
        return f"together they have {total // 2**20} MiB, and never more than {MAX_TOTAL // 2**20} are committed by themselves"
    operation = operation_in(git_dir_of(git.cwd))
    if operation:
        return f"a {operation} is in progress"
    conflicts = [entry.path for entry in left.todo if entry.unmerged]
    return f"conflicts are not resolved in {', '.join(conflicts[:5])}" if conflicts else ""


def _changed(before: _Leftovers, after: _Leftovers) -> bool:
    """Whether hooks changed files while a commit was tried: all that was to be committed had been staged for it."""
    return any(entry.unstaged for entry in after.todo) or {e.path for e in after.todo} < {e.path for e in before.todo}


def _commit(context: Context, git: Git, record: StreamRecord, left: _Leftovers) -> str:
    """Commit ``left.todo`` as a plain `git commit` of a prepared index, so that hooks see no other; return '' or why not.

    What is never committed, and staged nevertheless, is out of the index meanwhile.
    """
    # What is removed from the index already (`git rm`) is unknown to `git add`.
    known = set(split_z(git.out("ls-files", "-z")))
    names = [e.path for e in left.todo if e.path in known or os.path.lexists(git.cwd / e.path)]
    words = ("add", "--all", "--pathspec-from-file=-", "--pathspec-file-nul")
    if unsigned := why_unsigned(git):
        return f"the commit cannot be signed: {unsigned}"
    added = git.run(*LOOK_YOURSELF, *words, stdin=as_stdin(f":(literal){name}" for name in names))
    if added.returncode != 0:
        return f"git add refused: {reason_in(added.error_text)}"
    with _unstaged(git, left.kept):
        environment = context.config.working.environment
        shown = scrubber_for((context.site.main, git.cwd), (environment,), os.environ)
        title = _title(context, shown.scrub(record.task.title) or f"Work of {record.stream}")
        body = f"What the session left uncommitted.\n\nLoki-Stream: {record.stream}"
        env = _environment_of(context, record)
        done = replace(git, hooks=True).run(
            "commit", "--quiet", "-m", title, "-m", body, env=env, timeout=COMMIT_TIMEOUT
        )
    if done.returncode != 0:
        said = shown.scrub(f"{done.error_text}\n{without_credentials(done.text)}")
        return _refused(context, record, said, timed_out=done.timed_out)
    files = [entry.path for entry in left.todo[:50]]
    head = git.commit_id("HEAD") or ""
    events.record(context.site, "leftovers-committed", record.stream, commit=head, evidence={"files": files})
    return ""


def _environment_of(context: Context, record: StreamRecord) -> dict[str, str]:
    """Return what a person in the worktree has: its own tools lead PATH, so its hooks find the project's formatter."""
    env = variables(
        Path(record.path),
        main=context.site.root,
        stream=record.stream,
        branch=record.branch,
        environment=context.config.working.environment,
        values=context.values_of(record),
    )
    own = {name: env[name] for name in ("PATH", "VIRTUAL_ENV", "PYTHONPATH") if name in env}
    return own | {name: env[name] for name in context.config.working.environment.set}


def _refused(context: Context, record: StreamRecord, said: str, *, timed_out: bool) -> str:
    """Return why a commit was refused: the failing lines; all of what was said is in a log."""
    log = f"commit-{record.stream}.log"
    with open_fresh(context.site.folder("logs") / log) as sink:
        sink.write(said.encode("utf-8", "replace"))
    why = f"no answer in {COMMIT_TIMEOUT:.0f} s" if timed_out else why_refused(said) or "no reason given"
    more = f" (all of it: .loki/logs/{log})" if len(said.split("\n")) > 3 else ""
    return f"the commit was refused: {why}{more}"


def _title(context: Context, title: str) -> str:
    """Return the title as a person here would write it: hooks may ask for a form."""
    words = ("log", "--no-merges", "--max-count=20", "--format=%s", context.integration_ref)
    return fitting_title(title, (context.git.maybe(*words) or "").splitlines())


@contextlib.contextmanager
def _unstaged(git: Git, paths: Collection[str]) -> Iterator[None]:
    """Meanwhile these paths are in the index as HEAD has them; then they are staged as they were."""
    fields = git.out("diff", "--cached", "--raw", "--no-abbrev", "--no-renames", "-z").split("\0") if paths else []
    before, after = [], []
    for told, path in zip(fields[::2], fields[1::2], strict=False):
        if path in paths:
            old_mode, mode, old_oid, oid, _ = told.removeprefix(":").split(" ")
            before.append(f"{old_mode} {old_oid}\t{path}")
            after.append(f"{mode} {oid}\t{path}")
    update = ("update-index", "-z", "--index-info")
    if before:
        git.out(*update, stdin=as_stdin(before))
    try:
        yield
    finally:
        if after:
            git.run(*update, stdin=as_stdin(after))


def _huge(path: Path) -> bool:
    return _size(path) > MAX_BYTES


def _size(path: Path) -> int:
    try:
        found = path.lstat()
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _is_repository(path: Path) -> bool:
    """Whether this is a repository of its own inside the worktree: git lists it as a folder, and would add a bare pointer."""
    return path.is_dir() and not path.is_symlink() and os.path.lexists(path / ".git")
