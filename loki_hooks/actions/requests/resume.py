"""Go on with a stream whose session ended unfinished: in the same worktree, or a new one on its branch.

The stream is queued again, by the same rules as a new one. What was there before is in its prompt (`prompt.py`): commits,
changes, how the last run ended, what the tests or the merge said, the end of its log.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from loki_hooks.actions.consent import require_trust
from loki_hooks.actions.context import Context, body_of
from loki_hooks.actions.reconcile.run import reconcile
from loki_hooks.actions.sessions.prompt import require_agent
from loki_hooks.actions.streams.records import change
from loki_hooks.actions.streams.signals import take_ready_signals
from loki_hooks.actions.streams.worktree import make_worktree
from loki_hooks.domain.names import shown
from loki_hooks.domain.sessions.ending import Trouble
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.signals import SignalName
from loki_hooks.domain.streams.stages import stage_to_resume
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import IN_SESSION, RESUMABLE, Status
from loki_hooks.errors import BadInputError, LokiError, RefusedError
from loki_hooks.system.git.git import list_worktrees
from loki_hooks.system.store import events, signals, spawn_environment
from loki_hooks.system.worktrees.registrations import is_here, why_away

WAIT_FOR_PASS = 30.0


def resume_stream(context: Context, word: str, *, task: str = "", agent: str = "", tmux: bool = False) -> StreamRecord:
    """Queue the stream again, with ``task`` as what to do now, and return it as it is after a pass.

    Raises ``LokiError``; then nothing was changed. A stream that waits for its agent's provider is started at once.
    """
    record = context.require_stream(word)
    _require_resumable(record)
    if not record.base and record.status is Status.ESCALATED:
        return _back_to_its_plan(context, record, task)
    if "\0" in task:
        raise BadInputError("the task is binary", "a task is text")
    require_trust(context)
    reconcile(context.site, wait=WAIT_FOR_PASS)  # it may have landed: who resumes it then has something else in mind
    record = context.require_stream(word)
    _require_resumable(record)
    wanted = replace(record, agent=agent or record.agent, tmux=tmux or record.tmux, again=task.strip() or record.again)
    require_agent(context, wanted)
    made = _worktree_of(context, wanted)

    def queue(state: State) -> State:
        current = state.streams.get(record.stream)
        if current is None:
            raise RefusedError(f"{record.name} is gone", "`loki-hooks status` lists the streams")
        _require_resumable(current)
        ended = current.before
        if current.status in RESUMABLE - {Status.OPEN}:
            ended = f"{current.status}: {current.reason}" if current.reason else str(current.status)
        return state.with_stream(
            current.moved(
                Status.QUEUED,
                stage=_stage(context, current),
                trouble=_trouble(current),
                path=made.path,
                agent=wanted.agent,
                tmux=wanted.tmux,
                again=wanted.again,
                before=ended,
                reason="",
                not_before="",
                turned_away=0,
                claim=None,
                claim_token="",
                session=None,
                agent_process=None,
                launch=True,
                wanted="",
            )
        )

    spawn_environment.keep(context.site, record.stream)
    after = context.store.update(queue).streams[record.stream]
    _clear_signals(context, after)
    signals.emit(context.site, SignalName("SPAWN_QUEUED", after.stream), body_of(after))
    events.record(
        context.site, "resumed", after.stream, detail=after.before, evidence={"task": bool(task), "path": after.path}
    )
    reconcile(context.site, wait=WAIT_FOR_PASS)
    now = context.store.read().streams.get(record.stream, after)
    if now.status in {Status.MERGED, Status.ARCHIVED} and now.started_at == record.started_at:  # no session has begun
        raise _landed(record)
    return now


def _landed(record: StreamRecord) -> RefusedError:
    return RefusedError(
        f"{record.name} has landed: there is nothing to resume, and the task was not begun",
        'a new stream does it: `loki-hooks spawn NAME --task "…"`',
    )


def _back_to_its_plan(context: Context, record: StreamRecord, task: str) -> StreamRecord:
    """Have a stream of which nothing could be made wait for its turn again."""
    text = f"{record.task.text}\n\n{task.strip()}" if task.strip() else record.task.text

    def wait(current: StreamRecord) -> StreamRecord:
        return current.moved(Status.PLANNED, reason="", failures={}, task=replace(current.task, text=text))

    change(context, record.stream, wait)
    reconcile(context.site, wait=WAIT_FOR_PASS)
    return context.store.read().streams.get(record.stream, record)


def _stage(context: Context, record: StreamRecord) -> str:
    refused = record.trouble == Trouble.REFUSED
    return stage_to_resume(context.stages_of(record), record.stage, record.status, refused=refused)


def _trouble(record: StreamRecord) -> str:
    """Return what the next run is to get a hint about: what the tests or the merge said, else what the last one met."""
    from_status = {Status.REJECTED: Trouble.REJECTED.value, Status.CONFLICTED: Trouble.CONFLICTED.value}
    return from_status.get(record.status, record.trouble)


def _require_resumable(record: StreamRecord) -> None:
    if record.standing:
        raise RefusedError(f"{record.name} is no stream that a session works in", "`loki-hooks status` lists them")
    if record.status is Status.MERGED or (record.status is Status.ARCHIVED and record.landed):
        raise _landed(record)
    if record.status in IN_SESSION:
        raise RefusedError(f"{record.name} is already running", f"look in with `loki-hooks logs {record.name} -f`")
    if record.status is Status.QUEUED and not record.not_before:
        raise RefusedError(f"{record.name} waits already", record.reason or "it starts when there is a free place")
    if record.status is not Status.QUEUED and record.status not in RESUMABLE:
        raise RefusedError(
            f"{record.name} is {record.status}: there is nothing to resume",
            "a new stream goes on with a branch by `loki-hooks spawn NAME --branch BRANCH`",
        )


def _worktree_of(context: Context, record: StreamRecord) -> StreamRecord:
    """Return the stream with a worktree that stands on its branch; one is made where there is none."""
    git = context.git
    if git.commit_id(f"refs/heads/{record.branch}") is None:
        raise RefusedError(
            f"the branch {record.branch} of {record.name} is gone", "`loki-hooks restore --list` shows what was removed"
        )
    worktrees = [w for w in list_worktrees(git) if is_here(context.site, w.path)]
    holder = next((w for w in worktrees if w.branch == record.branch), None)
    if holder is not None and str(holder.path) == record.path:
        return record
    if holder is not None:
        raise RefusedError(
            f"the branch {record.branch} is checked out in {holder.path}",
            "switch that worktree to another branch first",
        )
    if any(str(w.path) == record.path for w in worktrees):
        raise RefusedError(
            f"{record.path} is not on {record.branch} any more",
            f"`git -C {shown(record.path)} switch {record.branch}` brings it back; look at its work first",
        )
    away = why_away(context.site, Path(record.path)) if record.path else ""
    if away:
        raise RefusedError(
            f"{record.name}: {away}", f"bring it back, or `loki-hooks restore {record.name}` makes another"
        )
    path = Path(record.path) if record.path else context.path_for(context.values_of(record))
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RefusedError(f"{path} exists already", "move it away, or change worktrees.path in loki-hooks.toml")
    made = replace(record, path=str(path))
    try:
        make_worktree(
            context, replace(made, explicit_base=True)
        )  # the branch is there: it is never made, nor taken back
    except LokiError as error:
        raise RefusedError(f"no worktree can be made for {record.name}: {error.message}", error.hint) from error
    return made


def _clear_signals(context: Context, record: StreamRecord) -> None:
    """Take away what the run before said: it is not so any more."""
    take_ready_signals(context, record)
    for kind, subject in (
        ("TESTS_FAILED", record.name),
        ("TESTS_PASSED", record.name),
        ("WORKTREE_FAILED", record.stream),
        ("MERGE_REQUESTED", record.stream),
    ):
        signals.clear(context.site, SignalName(kind, subject))
