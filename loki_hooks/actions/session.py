"""The runner: owns one session from set-up to its end, its log and its truth.

A runner is a detached process. It takes the stream over from whoever started it by a token (so a session is
never started twice, whoever was killed when), runs set-up and the agent in process groups of their own, sees
to what they leave behind, and says how it ended. If the runner itself is killed, reconcile sees that by pid
and start time, ends the agent with all its processes, and the stream can be resumed.

The agent's output comes through a pipe, so that its lines can be stamped. An agent that prints after its runner was
killed meets a broken pipe; the next pass ends it anyway.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from loki_hooks.actions.context import Context, body_of
from loki_hooks.actions.continuity import note_sync
from loki_hooks.actions.leftovers import commit_leftovers
from loki_hooks.actions.pending import started
from loki_hooks.actions.prepare import copy_environment, furnish
from loki_hooks.actions.prompt import agent_argv, render_prompt, write_prompt
from loki_hooks.actions.setup import run_setup
from loki_hooks.actions.standing import all_written, give_back, give_items, settle
from loki_hooks.actions.tmux import show_in_tmux
from loki_hooks.domain.ending import Ending, seconds_to_wait, status_after, turned_away, waits_for_its_provider
from loki_hooks.domain.signals import SignalName
from loki_hooks.domain.status import Status
from loki_hooks.domain.streams import State, StreamRecord
from loki_hooks.errors import LokiError
from loki_hooks.system import environment as env_files
from loki_hooks.system import events, signal_files
from loki_hooks.system.clock import later, now
from loki_hooks.system.files import held, open_log
from loki_hooks.system.git import Git, list_worktrees
from loki_hooks.system.leases import leased_ports
from loki_hooks.system.processes import (
    SESSION_MARK,
    Child,
    has_ended,
    identify,
    myself,
    scrubbed,
    start_child,
    start_detached,
    worker_argv,
)
from loki_hooks.system.session_log import Pump, tail
from loki_hooks.system.session_tree import SessionTree, mark_of
from loki_hooks.system.trust import word_for_sessions
from loki_hooks.system.worktrees import lock, unlock

STOP_GRACE = 5.0
HEARTBEAT = 15.0
TREE_LOOK = 1.0
LOOK = 0.1
"""Seconds: between TERM and KILL; between passes that one of the runners has made; how often the agent's descendants
are remembered, and the agent is looked at."""
KEEP_LOGS = 5


def run_session(context: Context, stream: str, token: str, stop: threading.Event) -> None:
    """Run the stream's session to its end. Does nothing when the token is not (or no longer) the stream's."""
    me = myself()

    def take(state: State) -> State:
        record = state.streams.get(stream)
        if record is None or record.claim_token != token or record.status is not Status.QUEUED:
            return state
        started = record.moved(
            Status.PREPARING,
            session=me,
            claim=None,
            claim_token="",
            started_at=now(),
            ended_at="",
            exit_code=None,
            reason="",
            agent_process=None,
            not_before="",
        )
        return state.with_stream(started)

    record = context.store.update(take).streams.get(stream)
    if record is None or record.session != me:
        return
    path = Path(record.path)
    signal_files.clear(context.site, SignalName("SPAWN_QUEUED", stream))
    started(context, record)
    try:
        lock(context.site, path, stream, me)
        with leased_ports(context.config.working.environment.ports, path) as ports:
            ending, record = _run(context, record, stop, ports)
    except LokiError as error:
        if stop.is_set():
            ending, why = Ending(0, stopped=True), ""
        else:
            ending, why = Ending(1), f"{error.message}{f': {error.hint}' if error.hint else ''}"
        _end(context, record, ending, why)
    except Exception as error:  # a fault of ours: it costs this stream, not its truth
        _end(context, record, Ending(1), f"a fault of loki-hooks ({type(error).__name__}): see .loki/logs/hooks.log")
        raise
    else:
        _end(context, record, ending, "")
    finally:
        with contextlib.suppress(LokiError):
            unlock(context.site, path, me)


def _run(
    context: Context, record: StreamRecord, stop: threading.Event, ports: tuple[int, ...]
) -> tuple[Ending, StreamRecord]:
    path = Path(record.path)
    if not any(w.path == path and w.branch == record.branch for w in list_worktrees(context.git)[1:]):
        raise LokiError(f"{record.path or 'nowhere'} is no worktree on {record.branch}", "a session runs nowhere else")
    config = context.config.working
    values = context.values_of(record)
    logs = context.site.folder("logs")
    events.record(context.site, "preparing", record.stream)
    _catch_up(context, record)
    furnish(context, record)
    record = copy_environment(context, record)
    tree = SessionTree(myself())
    run_setup(
        context,
        path,
        config.environment,
        stream=record.stream,
        branch=record.branch,
        values=values,
        log=logs / f"setup-{record.stream}.log",
        ports=ports,
        stop=stop,
        mark=mark_of(tree.runner),
    )
    env = env_files.variables(
        path,
        main=context.site.root,
        stream=record.stream,
        branch=record.branch,
        environment=config.environment,
        values=values,
        ports=ports,
    )
    if lent := word_for_sessions(context.site):
        env["LOKI_TRUST"] = lent
    env[SESSION_MARK] = mark_of(tree.runner)
    record = give_items(context, record, myself())
    prompt = render_prompt(context, record)
    write_prompt(context, record, prompt)
    argv = agent_argv(context, record, prompt)
    agent = config.session.launch(record.kind, record.agent).agent
    env_files.require_program(tuple(argv), env, f"the agent {agent}")
    log = logs / f"session-{record.stream}.log"
    _keep_earlier(log)
    with open_log(log) as sink:
        child = start_child(argv, cwd=path, env=env)
        tree.agent = identify(child.pid)
        assert child.stdout is not None
        pump = Pump(child.stdout, sink)
        try:
            record = _running(context, record, tree, agent)
            timed_out = _watch(context, child, tree, pump, stop)
        finally:
            tree.end(group=True)  # what the agent left running ends with its session
            child.wait()
            pump.drain()
            child.stdout.close()
    return _look(context, record, child.returncode, stopped=stop.is_set(), timed_out=timed_out, log=log), record


def _running(context: Context, record: StreamRecord, tree: SessionTree, agent: str) -> StreamRecord:
    def running(state: State) -> State:
        current = state.streams[record.stream]
        return state.with_stream(current.moved(Status.RUNNING, agent_process=tree.agent))

    record = context.store.update(running).streams[record.stream]
    events.record(context.site, "session-started", record.stream, evidence={"pid": tree.agent_pid, "agent": agent})
    if record.tmux:
        show_in_tmux(context, record)
    return record


def _watch(context: Context, child: Child, tree: SessionTree, pump: Pump, stop: threading.Event) -> bool:
    """Copy the agent's output until it has ended, or has to; return whether its time was over.

    The agent is not waited for (reaped) before its group was ended: until then the group's number is its own.
    """
    timeout = context.config.working.session.timeout
    began = time.monotonic()
    beat, look = began + HEARTBEAT, began
    while not has_ended(child):
        pump.wait(LOOK)
        at = time.monotonic()
        timed_out = bool(timeout) and at > began + timeout
        if stop.is_set() or timed_out:
            ending = threading.Thread(target=tree.end, kwargs={"grace": STOP_GRACE, "group": True})
            ending.start()
            while ending.is_alive():  # what it says while it ends belongs in its log
                pump.wait(LOOK)
            return not stop.is_set()
        if at > look + TREE_LOOK:
            look = at
            tree.look()
        if at > beat:
            beat = at + HEARTBEAT
            _heartbeat(context)
    return False


def _look(context: Context, record: StreamRecord, code: int, *, stopped: bool, timed_out: bool, log: Path) -> Ending:
    """See what the session left: commit it where that is wanted, count its commits."""
    path = Path(record.path)
    git = Git(path)
    branch = git.maybe("symbolic-ref", "-q", "--short", "HEAD") or "a detached HEAD"
    wrong = "" if branch == record.branch else branch
    left: tuple[str, ...] = ()
    why = ""
    if not wrong:
        wanted = context.config.working.session.commit == "all" and code == 0 and not stopped and not timed_out
        left, why = commit_leftovers(context, record, wanted=wanted)
    commits = git.out("rev-list", "--count", f"{record.base}..refs/heads/{record.branch}") if record.base else "0"
    away = turned_away(tail(log), context.config.working.session.rate_limit.words)
    return Ending(
        code,
        stopped=stopped,
        timed_out=timed_out,
        commits=int(commits),
        left=left,
        left_why=why,
        wrong_branch=wrong,
        turned_away=away,
        nothing_to_do=commits == "0" and all_written(context, record),
    )


def _end(context: Context, record: StreamRecord, ending: Ending, why: str) -> None:
    status, reason = status_after(ending)
    reason = why or reason
    tip = context.git.commit_id(f"refs/heads/{record.branch}") or ""
    limit = context.config.working.session.rate_limit

    def ended(state: State) -> State:
        current = state.streams.get(record.stream)
        if current is None or current.session != record.session:
            return state
        over = current.moved(
            status,
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
        )
        if waits_for_its_provider(ending, current.turned_away, limit.tries):
            wait = seconds_to_wait(ending.turned_away, time.time(), current.turned_away, limit.wait, limit.longest)
            over = over.moved(
                Status.QUEUED,
                not_before=later(wait),
                turned_away=current.turned_away + 1,
                before=f"{status}: its provider turned it away",
                reason="its provider turned it away",
            )
        return state.with_stream(over)

    after = context.store.update(ended).streams.get(record.stream, record)
    if after.status is Status.QUEUED and after.not_before:
        events.record(
            context.site,
            "turned-away",
            record.stream,
            commit=tip,
            detail=ending.turned_away,
            evidence={"exit_code": ending.exit_code, "again_at": after.not_before, "times": after.turned_away},
        )
        signal_files.emit(context.site, SignalName("SPAWN_QUEUED", record.stream), body_of(after, commit=tip))
        return
    events.record(
        context.site,
        f"session-{status}",
        record.stream,
        commit=tip,
        detail=reason,
        evidence={"exit_code": ending.exit_code, "commits": ending.commits, "left": list(ending.left)},
    )
    if status is Status.IDLE:
        settle(context, after)
    give_back(context, record, myself())
    if status is Status.READY:
        signal_files.emit(context.site, SignalName("FEATURE_READY", record.name), body_of(after, commit=tip))
    elif status not in {Status.STOPPED, Status.IDLE}:
        signal_files.emit(
            context.site,
            SignalName("WORKTREE_FAILED", record.stream),
            {**body_of(after, commit=tip), "reason": reason, "left": list(ending.left)},
        )


def _catch_up(context: Context, record: StreamRecord) -> None:
    """A stream that waited starts from the integration branch as it is now, if nobody has worked in it yet."""
    tip = context.git.commit_id(context.integration_ref)
    git = Git(Path(record.path))
    at = git.commit_id("HEAD")
    if record.explicit_base or tip is None or at != record.base or at == tip:
        return
    if git.maybe("status", "--porcelain", "--untracked-files=all") != "" or not git.is_ancestor(record.base, tip):
        return
    if git.run("merge", "--ff-only", "--quiet", "--no-autostash", tip, timeout=1800).returncode == 0:
        context.store.update(lambda state: state.with_stream(replace(state.streams[record.stream], base=tip)))
        note_sync(context, Path(record.path), tip)


def _keep_earlier(log: Path) -> None:
    """Keep an earlier run's log beside: ``session-x.log.1`` is the newest of them (``session-x.1.log`` is the stream x.1's)."""
    if not os.path.lexists(log):
        return
    names = [log, *(log.with_name(f"{log.name}.{number}") for number in range(1, KEEP_LOGS + 2))]
    for newer, older in reversed(list(pairwise(names))):
        if os.path.lexists(newer) and not older.is_dir():
            newer.replace(older)


def _heartbeat(context: Context) -> None:
    """While anything runs, one of the runners has a pass made now and then: for signals that were merely touched."""
    with held(context.site.private / "heartbeat.lock", timeout=0) as mine:
        if mine:
            start_detached(
                worker_argv("worker", "reconcile", "heartbeat", "native", str(context.site.root)),
                cwd=context.site.root,
                env=scrubbed(),
            )
