"""How a session ended: seen in its worktree, written into the stream's record, told by events and signals.

A stage that ended well with another one to come queues the stream again, in one write: whoever is killed before or after
it, no stage is left out and none is run twice.
"""

from __future__ import annotations

import shlex
import time
from dataclasses import replace
from pathlib import Path

from loki_hooks.actions.context import Context, body_of
from loki_hooks.actions.sessions.leftovers import commit_leftovers
from loki_hooks.actions.sessions.prompt import plan_of
from loki_hooks.actions.streams.signals import take_ready_signals
from loki_hooks.actions.writing import rounds
from loki_hooks.domain.names import flat
from loki_hooks.domain.sessions.agents import Agent
from loki_hooks.domain.sessions.ending import (
    Ending,
    Trouble,
    ended_well,
    seconds_to_wait,
    status_after,
    trouble_of,
    turned_away,
    waits_for_its_provider,
)
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.signals import SignalName
from loki_hooks.domain.streams.stages import ANALYZE, REVIEW, stage_after
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import Status
from loki_hooks.system.clock import later, now
from loki_hooks.system.files import read_plain
from loki_hooks.system.git.git import Git
from loki_hooks.system.processes.alive import myself
from loki_hooks.system.processes.session_log import tail
from loki_hooks.system.store import events, signals

REFUSAL = "REVIEW_FAILED"
_REFUSAL_SHOWN = 300


def look_back(
    context: Context, record: StreamRecord, code: int, *, stopped: bool, timed_out: bool, log: Path
) -> Ending:
    """See what the session left: commit it where that is wanted, count its commits, find its plan or its refusal."""
    path = Path(record.path)
    git = Git(path, of=context.site.common)
    branch = git.maybe("symbolic-ref", "-q", "--short", "HEAD") or "a detached HEAD"
    wrong = "" if branch == record.branch else branch
    session = context.config.working.session
    agent = context.config.working.agents.get(session.launch(record.kind, record.agent).agent, Agent("", ""))
    said = tail(log)
    ending = Ending(code, stopped=stopped, timed_out=timed_out, stage=record.stage, rule=agent.end, tail=said)
    left: tuple[str, ...] = ()
    why = ""
    if not wrong:
        left, why = commit_leftovers(context, record, wanted=session.commit == "all" and ended_well(ending))
    gone = git.commit_id(f"refs/heads/{record.branch}") is None
    if wrong and gone:
        back = f"`git -C {shlex.quote(str(path))} branch -m {shlex.quote(record.branch)}` gives it its name back"
        wrong += f", and {record.branch} is gone: {back}"
    counted = "HEAD" if gone else f"refs/heads/{record.branch}"
    commits = git.out("rev-list", "--count", f"{record.base}..{counted}") if record.base else "0"
    words = session.rate_limit.words
    return replace(
        ending,
        commits=int(commits),
        left=left,
        left_why=why,
        wrong_branch=wrong,
        turned_away=turned_away(said, agent.turned_away if words is None else words),
        planned=record.stage == ANALYZE and bool(plan_of(record)),
        refused=_refusal(context, record) if record.stage == REVIEW else "",
        nothing_to_do=commits == "0" and rounds.all_written(context, record),
    )


def clear_refusal(context: Context, record: StreamRecord) -> None:
    """Take away what an earlier review said: the next one is to see for itself."""
    for signal in _refusals(context, record):
        signals.consume(signal.path)


def _refusal(context: Context, record: StreamRecord) -> str:
    """Return why the review says no, '' when it does not. One that was merely touched gives no reason."""
    found = _refusals(context, record)
    if not found:
        return ""
    texts = [(read_plain(signal.path) or b"").decode("utf-8", "replace") for signal in found if not signal.body]
    said = " ".join(" ".join(texts).split())
    clear_refusal(context, record)
    return said[:_REFUSAL_SHOWN] or "it gives its reasons in .loki/CONTINUITY.md"


def _refusals(context: Context, record: StreamRecord) -> list[signals.Signal]:
    folders = (signals.own_signals_dir(Path(record.path)), context.site.loki / "signals")
    return [
        signal
        for folder in folders
        for signal in signals.listed(folder)
        if signal.name.kind == REFUSAL and signal.name.subject in {flat(record.name), record.stream}
    ]


def settle(context: Context, record: StreamRecord, ending: Ending, why: str = "") -> None:
    """Record how the session ended and tell it. ``why`` is said instead of the ending's own reason."""
    tip = context.git.commit_id(f"refs/heads/{record.branch}") or ""
    status, reason = status_after(ending)
    reason = why or reason

    def ended(state: State) -> State:
        current = state.streams.get(record.stream)
        if current is None or current.session != record.session:
            return state
        return state.with_stream(_ended(context, current, ending, reason, tip))

    after = context.store.update(ended).streams.get(record.stream, record)
    if after.status is Status.IDLE:
        rounds.close_items(context, after)
    rounds.give_back(context, record, myself())
    if after.status is not Status.QUEUED or not (after.not_before or after.stage != record.stage):
        _tell_end(context, after, ending, status, reason, tip)
        return
    turned = bool(after.not_before)
    events.record(
        context.site,
        "turned-away" if turned else "stage-done",
        record.stream,
        commit=tip,
        detail=ending.turned_away if turned else f"{record.stage}; next: {after.stage}",
        evidence={"exit_code": ending.exit_code, "stage": record.stage}
        | ({"again_at": after.not_before, "times": after.turned_away} if turned else {"next": after.stage}),
    )
    if not turned:
        take_ready_signals(context, after)  # it spoke too early: the last stage decides
    signals.emit(context.site, SignalName("SPAWN_QUEUED", record.stream), body_of(after, commit=tip))


def _ended(context: Context, current: StreamRecord, ending: Ending, reason: str, tip: str) -> StreamRecord:
    """Return the record after its session: at the end of its way, or queued for its next stage, or for its provider."""
    status, _ = status_after(ending)
    limit = context.config.working.session.rate_limit
    follows = stage_after(context.stages_of(current), current.stage) if status is Status.READY else ""
    over = current.moved(
        Status.QUEUED if follows else status,
        session=None,
        agent_process=None,
        ended_at=now(),
        last_run=current.started_at,
        exit_code=ending.exit_code,
        reason=reason,
        tip=tip,
        turned_away=0,
        not_before="",
        before=f"{status}: {reason}" if status is not Status.READY else "",
        trouble=trouble_of(ending),
    )
    if follows:
        return replace(over, stage=follows, before=f"done: the stage {current.stage}")
    if waits_for_its_provider(ending, current.turned_away, limit.tries):
        wait = seconds_to_wait(ending.turned_away, time.time(), current.turned_away, limit.wait, limit.longest)
        over = over.moved(
            Status.QUEUED,
            not_before=later(wait),
            turned_away=current.turned_away + 1,
            before=f"{status}: its provider turned it away",
            reason="its provider turned it away",
            trouble=Trouble.TURNED_AWAY.value,
        )
    return over


def _tell_end(context: Context, record: StreamRecord, ending: Ending, status: Status, reason: str, tip: str) -> None:
    events.record(
        context.site,
        f"session-{status}",
        record.stream,
        commit=tip,
        detail=reason,
        evidence={
            "exit_code": ending.exit_code,
            "commits": ending.commits,
            "left": list(ending.left),
            "stage": record.stage,
        },
    )
    if status is Status.READY:
        signals.emit(context.site, SignalName("FEATURE_READY", record.name), body_of(record, commit=tip))
    elif status not in {Status.STOPPED, Status.IDLE}:
        signals.emit(
            context.site,
            SignalName("WORKTREE_FAILED", record.stream),
            {**body_of(record, commit=tip), "reason": reason, "left": list(ending.left)},
        )
