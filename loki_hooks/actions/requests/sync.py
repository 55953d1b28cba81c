"""Bring a stream up to date with the integration branch, when nobody works in it; on a conflict all is as before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.landing import upstream
from loki_hooks.actions.landing.taken_out import gone
from loki_hooks.actions.reconcile.run import reconcile
from loki_hooks.actions.removal.retire import facts_of
from loki_hooks.actions.streams.continuity import note_sync
from loki_hooks.actions.streams.here import streams_here
from loki_hooks.actions.streams.outlook import require_finishable
from loki_hooks.domain.refs import base_ref
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import Status
from loki_hooks.errors import BadInputError, LokiError, RefusedError, reason_in
from loki_hooks.system.git.git import Git, split_z
from loki_hooks.system.git.history import made_here
from loki_hooks.system.git.merges import commit_tree, why_unsigned
from loki_hooks.system.git.operations import git_dir_of, operation_in
from loki_hooks.system.git.squashed import squashed_within
from loki_hooks.system.git.status import is_clean
from loki_hooks.system.git.submodules import follow_submodules
from loki_hooks.system.locks import PASS_PATIENCE, PassLock, hold_pass
from loki_hooks.system.processes.alive import ancestors_inside
from loki_hooks.system.store import events
from loki_hooks.system.worktrees.registrations import why_away

Say = Callable[[str], None]
_QUIET = {"GIT_EDITOR": "true", "GIT_SEQUENCE_EDITOR": "true"}
_LONG = 1800.0


@dataclass(frozen=True)
class Synced:
    """``how`` is ``rebase``, ``merge``, or '' when it was up to date."""

    record: StreamRecord
    how: str
    before: str
    after: str
    left_out: tuple[str, ...] = ()
    """What was taken out of the integration branch, and is not in the stream any more either."""


def stream_here(context: Context) -> StreamRecord:
    """Return the stream whose worktree the caller is in. Raises ``BadInputError`` elsewhere."""
    for record in streams_here(context.store.read(), context.site):
        if not record.standing:
            return record
    raise BadInputError("this is no stream's worktree", "name a stream: `loki-hooks sync NAME`")


def sync(context: Context, record: StreamRecord, *, say: Say) -> Synced:
    """Bring the stream's branch up to the integration branch, in its worktree. Raises ``RefusedError`` with the reason.

    On a conflict git's own abort is used, and it is proved that tip, branch and files are as they were.
    """
    require_finishable(record)
    path = Path(record.path)
    away = why_away(context.site, path) if record.path else ""
    if away:
        raise RefusedError(f"{record.name} is not brought up to date: {away}", "its branch is as it was")
    if not record.path or not (path / ".git").exists():
        raise RefusedError(f"{record.name} has no worktree", f"`loki-hooks restore {record.name}` makes one")
    upstream.catch_up(context, say)
    with hold_pass(context.site) as lock:
        synced = _sync(context, lock, record, path)
    if synced.how:
        reconcile(context.site, wait=PASS_PATIENCE)
    return synced


def _sync(context: Context, lock: PassLock, record: StreamRecord, path: Path) -> Synced:
    lock.require(context.site)
    git = Git(path, of=context.site.common)
    onto = context.git.commit_id(context.integration_ref)
    tip = context.git.commit_id(f"refs/heads/{record.branch}")
    if onto is None or tip is None:
        raise LokiError(f"{context.integration if onto is None else record.branch} has no commit", "nothing was done")
    _require_quiet(context, record, git)
    taken = gone(context, onto).of(tip)
    if not taken.commits and git.is_ancestor(onto, tip):
        return Synced(record, "", tip, tip)
    squashed = squashed_within(git, onto, tip)
    how = "rebase" if taken.commits or squashed else context.config.working.sync.how
    if taken.commits:
        words = _replay_words(git, record, onto, tip, frozenset(taken.once))
    else:
        words = _merge_words(context, onto) if how == "merge" else _rebase_words(git, onto, tip, squashed)
    if unsigned := why_unsigned(git):
        raise RefusedError(
            f"{record.name} is not brought up to date: commits cannot be signed: {unsigned}", "unlock the key"
        )
    done = git.run(*words, env=_QUIET, timeout=_LONG)
    if done.returncode != 0:
        raise _take_back(git, record, tip, how, done.error_text)
    after = git.out("rev-parse", "--verify", "HEAD")
    context.git.update_ref(base_ref(record.stream), onto, None, "synced")
    context.store.update(lambda state: _based(state, record.stream, onto))
    note_sync(context, path, onto)
    follow_submodules(context.site, path, tip)
    evidence = {"before": tip, "onto": onto, "left_out": list(taken.commits)}
    events.record(context.site, "synced", record.stream, commit=after, detail=how, evidence=evidence)
    return Synced(record, how, tip, after, taken.commits)


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


_REBASE = ("-c", "rebase.updateRefs=false", "rebase", "--quiet", "--no-autostash", "--no-fork-point")


def _rebase_words(git: Git, onto: str, tip: str, squashed: Sequence[str]) -> tuple[str, ...]:
    """Return what makes the stream's commits again on ``onto``, but for what landed there ``squashed``."""
    if squashed:
        cut = squashed[0] if len(squashed) == 1 else commit_tree(git, git.tree_id(onto), squashed, "what is there\n")
        return (*_REBASE, "--onto", onto, cut)
    merges = ("--rebase-merges",) if git.out("rev-list", "--merges", "--max-count=1", f"{onto}..{tip}") else ()
    return (*_REBASE, *merges, onto)


def _replay_words(git: Git, record: StreamRecord, onto: str, tip: str, once: frozenset[str]) -> tuple[str, ...]:
    """Return what makes the stream's own commits again on ``onto``, and nothing that was in the integration branch ``once``.

    What was made in the stream is its own, though it was in there too (merged by hand, and taken back). Raises
    ``RefusedError`` where the one cannot be told from the other.
    """
    log = (commit for ref in (f"refs/heads/{record.branch}", "HEAD") for commit in made_here(git, ref))
    made = once.intersection(log)
    parents = {
        commit: its for commit, *its in map(str.split, git.out("rev-list", "--parents", tip, f"^{onto}").splitlines())
    }
    foreign = once - made
    ends = sorted(foreign.difference(parent for commit in foreign for parent in parents[commit]))
    if not ends:
        return (*_REBASE, "--no-ff", *(["--rebase-merges"] if _merges(parents) else []), onto)
    if made.intersection(git.out("rev-list", *ends, f"^{onto}").split()):
        raise RefusedError(
            f"{record.name} has commits of its own below what was taken out of the integration branch",
            f"leave that out by hand, in {record.path}: `git rebase -i {onto[:12]}`",
        )
    cut = ends[0] if len(ends) == 1 else commit_tree(git, git.tree_id(onto), ends, "what is left out\n")
    own = {commit: its for commit, its in parents.items() if commit not in once}
    kept = _merges(own) and not any(foreign.intersection(its) for its in _merges(own))
    return (*_REBASE, *(["--rebase-merges"] if kept else []), "--onto", onto, cut)


def _merges(parents: Mapping[str, Sequence[str]]) -> list[Sequence[str]]:
    return [its for its in parents.values() if len(its) > 1]


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
        and is_clean(git, untracked="no")
    )
    if not same:
        return LokiError(
            f"the {how} of {record.name} stopped, and could not be taken back wholly",
            f"look into {record.path}; its tip was {tip}",
        )
    if not conflicts:
        return RefusedError(f"git refused the {how} of {record.name}: {reason_in(error)}", "all is as it was before")
    where = f" (at {at})" if at else ""
    return RefusedError(
        f"{record.name} conflicts in {', '.join(conflicts[:10])}{where}; all is as it was before",
        f"resolve it by hand: `git -C {record.path} {how} …`, or hand it to an agent",
    )
