"""Bring a stream up to date with the integration branch, when nobody works in it; on a conflict all is as before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from loki_hooks.actions import remote
from loki_hooks.actions.cleanup import facts_of
from loki_hooks.actions.context import Context
from loki_hooks.actions.continuity import note_sync
from loki_hooks.actions.outlook import require_finishable
from loki_hooks.actions.prepare import base_ref
from loki_hooks.actions.reconcile import reconcile
from loki_hooks.domain.status import Status
from loki_hooks.domain.streams import State, StreamRecord
from loki_hooks.errors import BadInputError, LokiError, RefusedError
from loki_hooks.system import events
from loki_hooks.system.files import held
from loki_hooks.system.git import Git, split_z
from loki_hooks.system.processes import ancestors_inside
from loki_hooks.system.submodules import follow_submodules
from loki_hooks.system.worktrees import git_dir_of, operation_in

Say = Callable[[str], None]
PATIENCE = 60.0
_QUIET = {"GIT_EDITOR": "true", "GIT_SEQUENCE_EDITOR": "true"}
_LONG = 1800.0


@dataclass(frozen=True)
class Synced:
    """``how`` is ``rebase``, ``merge``, or '' when it was up to date."""

    record: StreamRecord
    how: str
    before: str
    after: str


def stream_here(context: Context) -> StreamRecord:
    """Return the stream whose worktree the caller is in. Raises ``BadInputError`` elsewhere."""
    here = str(context.site.here)
    for record in context.store.read().streams.values():
        if record.path == here and not record.standing:
            return record
    raise BadInputError("this is no stream's worktree", "name a stream: `loki-hooks sync NAME`")


def sync(context: Context, record: StreamRecord, *, say: Say) -> Synced:
    """Bring the stream's branch up to the integration branch, in its worktree. Raises ``RefusedError`` with the reason.

    On a conflict git's own abort is used, and it is proved that tip, branch and files are as they were.
    """
    require_finishable(record)
    path = Path(record.path)
    if not record.path or not (path / ".git").exists():
        raise RefusedError(f"{record.name} has no worktree", f"`loki-hooks restore {record.name}` makes one")
    remote.catch_up(context, say)
    with held(context.site.private / "reconcile.lock", timeout=PATIENCE) as mine:
        if not mine:
            raise RefusedError("a pass is under way and does not end", "try again")
        synced = _sync(context, record, path)
    if synced.how:
        reconcile(context.site, wait=PATIENCE)
    return synced


def _sync(context: Context, record: StreamRecord, path: Path) -> Synced:
    git = Git(path)
    onto = context.git.commit_id(context.integration_ref)
    tip = context.git.commit_id(f"refs/heads/{record.branch}")
    if onto is None or tip is None:
        raise LokiError(f"{context.integration if onto is None else record.branch} has no commit", "nothing was done")
    _require_quiet(context, record, git)
    if git.is_ancestor(onto, tip):
        return Synced(record, "", tip, tip)
    how = context.config.working.sync.how
    words = _merge_words(context, onto) if how == "merge" else _rebase_words(git, onto, tip)
    done = git.run(*words, env=_QUIET, timeout=_LONG)
    if done.returncode != 0:
        raise _take_back(git, record, tip, how, done.error_text)
    after = git.out("rev-parse", "--verify", "HEAD")
    context.git.update_ref(base_ref(record.stream), onto, None, "synced")
    context.store.update(lambda state: _based(state, record.stream, onto))
    note_sync(context, path, onto)
    follow_submodules(context.site, path, tip)
    evidence = {"before": tip, "onto": onto}
    events.record(context.site, "synced", record.stream, commit=after, detail=how, evidence=evidence)
    return Synced(record, how, tip, after)


def _merge_words(context: Context, onto: str) -> tuple[str, ...]:
    return (
        "merge",
        "--no-edit",
        "--no-autostash",
        "--no-overwrite-ignore",
        "--quiet",
        "-m",
        f"Merge {context.integration} to be up to date",
        onto,
    )


def _rebase_words(git: Git, onto: str, tip: str) -> tuple[str, ...]:
    merges = ("--rebase-merges",) if git.out("rev-list", "--merges", "--max-count=1", f"{onto}..{tip}") else ()
    return ("-c", "rebase.updateRefs=false", "rebase", "--quiet", "--no-autostash", "--no-fork-point", *merges, onto)


def _based(state: State, stream: str, onto: str) -> State:
    record = state.streams.get(stream)
    return state if record is None else state.with_stream(replace(record, base=onto))


def _require_quiet(context: Context, record: StreamRecord, git: Git) -> None:
    """Raise ``RefusedError`` when somebody works in the worktree, or left something in it."""
    facts = facts_of(context, record)
    mine = ancestors_inside(Path(record.path))
    others = tuple(p for p in facts.processes if not any(p.endswith(f"(pid {pid})") for pid in mine))
    branch = git.maybe("symbolic-ref", "-q", "--short", "HEAD")
    for what, found in (
        ("git cannot tell what is in it", facts.unreadable),
        (f"a {facts.operation} is in progress in it", facts.operation and record.path),
        ("it is locked", facts.lock),
        (f"{record.branch} is not checked out in it, but", branch != record.branch and (branch or "a detached HEAD")),
        ("somebody works in it", ", ".join(others[:3])),
        ("it has uncommitted changes", ", ".join(facts.modified[:5])),
        ("it has untracked files", ", ".join(facts.untracked[:5])),
    ):
        if found:
            raise RefusedError(
                f"{record.name} is not brought up to date: {what}: {found}",
                f"see to it in {record.path}, then repeat `loki-hooks sync {record.name}`",
            )
    if record.status in {Status.MERGING, Status.MERGED}:
        raise RefusedError(f"{record.name} is {record.status}", "there is nothing to bring up to date")


def _take_back(git: Git, record: StreamRecord, tip: str, how: str, error: str) -> LokiError:
    """Abort what has stopped, prove that all is as before, and return what to raise."""
    conflicts = sorted(set(split_z(git.maybe("diff", "--name-only", "--diff-filter=U", "-z") or "")))
    at = git.maybe("log", "-1", "--format=%h %s", "REBASE_HEAD") if how == "rebase" else None
    if operation_in(git_dir_of(git.cwd)):
        git.run(how, "--abort", timeout=_LONG)
    same = (
        git.commit_id("HEAD") == tip
        and git.maybe("symbolic-ref", "-q", "--short", "HEAD") == record.branch
        and not operation_in(git_dir_of(git.cwd))
        and not git.maybe("status", "--porcelain", "--untracked-files=no")
    )
    if not same:
        return LokiError(
            f"the {how} of {record.name} stopped, and could not be taken back wholly",
            f"look into {record.path}; its tip was {tip}",
        )
    if not conflicts:
        why = (error.strip().splitlines() or ["no reason given"])[-1]
        return RefusedError(f"git refused the {how} of {record.name}: {why}", "all is as it was before")
    where = f" (at {at})" if at else ""
    return RefusedError(
        f"{record.name} conflicts in {', '.join(conflicts[:10])}{where}; all is as it was before",
        f"resolve it by hand: `git -C {record.path} {how} …`, or hand it to an agent",
    )
