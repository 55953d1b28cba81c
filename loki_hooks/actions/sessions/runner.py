"""The runner: owns one session from set-up to its end, its log and its truth.

A runner is a detached process. It takes the stream over from whoever started it by a token (so a session is
never started twice, whoever was killed when), runs set-up and the agent in process groups of their own, sees
to what they leave behind, and says how it ended. If the runner itself is killed, reconcile sees that by pid
and start time, ends the agent with all its processes, and the stream can be resumed.

The agent begins only when its pid is recorded (`system/processes/launch.py`). Its output comes through a pipe,
so that its lines can be stamped, or from a terminal of its own that people can attach to (`system/processes/terminal.py`). An agent
that prints after its runner was killed meets a broken pipe, or a terminal that has hung up; the next pass ends it anyway.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.safe.keeper import Keeper
from loki_hooks.actions.sessions.ending import clear_refusal, look_back, settle
from loki_hooks.actions.sessions.prompt import agent_argv, render_prompt, write_prompt
from loki_hooks.actions.sessions.spawn_queue import started
from loki_hooks.actions.sessions.tmux import TERM, shown_terminal
from loki_hooks.actions.streams.continuity import note_sync
from loki_hooks.actions.streams.renamed import follow_rename, renamed_to
from loki_hooks.actions.streams.setup import run_setup
from loki_hooks.actions.streams.worktree import copy_environment, furnish
from loki_hooks.actions.writing.rounds import give_items
from loki_hooks.domain.sessions.ending import Ending
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.signals import SignalName
from loki_hooks.domain.streams.stages import REVIEW
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import Status
from loki_hooks.domain.work import ReconcileWork
from loki_hooks.errors import LokiError, SetupFailedError
from loki_hooks.system.clock import now
from loki_hooks.system.config.trust import word_for_sessions
from loki_hooks.system.files import open_log
from loki_hooks.system.git.fast_forward import fast_forward
from loki_hooks.system.git.git import Git, list_worktrees
from loki_hooks.system.git.status import is_clean
from loki_hooks.system.git.submodules import follow_submodules
from loki_hooks.system.locks import try_hold
from loki_hooks.system.processes.alive import identify, myself
from loki_hooks.system.processes.ancestry import adopt_orphans, reap_adopted
from loki_hooks.system.processes.detach import LINUX, worker_argv
from loki_hooks.system.processes.run import SESSION_MARK, scrubbed, stopped_by
from loki_hooks.system.processes.session_log import Pump
from loki_hooks.system.processes.session_tree import SessionTree, mark_of
from loki_hooks.system.processes.start import Child, has_ended, start_detached, start_waiting
from loki_hooks.system.store import events, signals
from loki_hooks.system.store.leases import leased_ports
from loki_hooks.system.worktrees import environment as env_files
from loki_hooks.system.worktrees import variables
from loki_hooks.system.worktrees.registrations import why_away
from loki_hooks.system.worktrees.registry import lock, unlock

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
            stage=context.stage_of(record),
        )
        return state.with_stream(started)

    record = context.store.update(take).streams.get(stream)
    if record is None or record.session != me:
        return
    path = Path(record.path)
    signals.clear(context.site, SignalName("SPAWN_QUEUED", stream))
    started(context, record)
    try:
        _require_worktree(context, record)
        lock(context.site, path, stream, me)
        with leased_ports(context.config.working.environment.ports, path) as ports:
            ending, record = _run(context, record, stop, ports)
    except LokiError as error:
        stopped, in_setup = stop.is_set(), isinstance(error, SetupFailedError)
        why = "" if stopped else f"{error.message}{f': {error.hint}' if error.hint else ''}"
        settle(context, record, Ending(1, stopped=stopped, setup_failed=in_setup, stage=record.stage), why)
    except Exception as error:  # a fault of ours: it costs this stream, not its truth
        why = f"a fault of loki-hooks ({type(error).__name__}): see .loki/logs/hooks.log"
        settle(context, record, Ending(1, stage=record.stage), why)
        raise
    else:
        settle(context, record, ending)
    finally:
        with contextlib.suppress(LokiError):
            unlock(context.site, path, me)


def _run(
    context: Context, record: StreamRecord, stop: threading.Event, ports: tuple[int, ...]
) -> tuple[Ending, StreamRecord]:
    path = Path(record.path)
    config = context.config.working
    values = context.values_of(record)
    logs = context.site.folder("logs")
    events.record(context.site, "preparing", record.stream, evidence={"stage": record.stage})
    with stopped_by(stop):  # it may wait for a submodule's server
        _catch_up(context, record)
    furnish(context, record)
    record = copy_environment(context, record)
    tree = SessionTree(myself())
    try:
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
    except LokiError as error:
        raise SetupFailedError(error.message, error.hint) from error
    env = variables.variables(
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
    if record.stage == REVIEW:
        clear_refusal(context, record)
    record = give_items(context, record, myself())
    prompt = render_prompt(context, record)
    write_prompt(context, record, prompt)
    argv = agent_argv(context, record, prompt)
    agent = config.session.launch(record.kind, record.agent).agent
    env_files.require_program(tuple(argv), env, f"the agent {agent}")
    log = logs / f"session-{record.stream}.log"
    _keep_earlier(log)
    with open_log(log) as sink, shown_terminal(context, record) as terminal:
        if terminal is not None:
            env["TERM"] = TERM
        waiting = start_waiting(argv, cwd=path, env=env, terminal=terminal.agent_side if terminal else None)
        child = waiting.child
        tree.agent = identify(child.pid)
        pump = Pump(child.stdout, sink, terminal)
        if terminal is not None:
            terminal.handed_over()
        adopt_orphans(True)
        tree.adopting = LINUX
        try:
            record = _recorded(context, record, tree)
            waiting.go()
            events.record(
                context.site,
                "session-started",
                record.stream,
                evidence={"pid": tree.agent_pid, "agent": agent, "stage": record.stage},
            )
            with _kept_safe(context, record.stream):
                timed_out = _watch(context, child, tree, pump, stop)
        finally:
            tree.end(group=True)  # what the agent left running ends with its session
            tree.adopting = False
            adopt_orphans(False)
            child.wait()
            pump.drain()
            if child.stdout is not None:
                child.stdout.close()
    record = _under_its_name(context, record)
    ending = look_back(context, record, child.returncode, stopped=stop.is_set(), timed_out=timed_out, log=log)
    Keeper(context).renew_quietly(record.stream)
    return ending, record


def _under_its_name(context: Context, record: StreamRecord) -> StreamRecord:
    """Return the stream with the name that its branch has now: an agent may have renamed it."""
    if context.git.commit_id(f"refs/heads/{record.branch}") is not None:
        return record
    state = context.store.read()
    current = state.streams.get(record.stream)
    if current is None or current.session != record.session:
        return record
    branch = renamed_to(context, record, state, list_worktrees(context.git))
    return follow_rename(context, record, branch) if branch else record


@contextlib.contextmanager
def _kept_safe(context: Context, stream: str) -> Iterator[None]:
    """Keep the safe snapshot of the stream's worktree new meanwhile, beside what is copied of the agent's output."""
    over = threading.Event()
    keeping = threading.Thread(target=Keeper(context).run, args=(stream, over), daemon=True)
    keeping.start()
    try:
        yield
    finally:
        over.set()
        keeping.join()


def _require_worktree(context: Context, record: StreamRecord) -> None:
    path = Path(record.path)
    if not any(w.path == path and w.branch == record.branch for w in list_worktrees(context.git)[1:]):
        raise LokiError(f"{record.path or 'nowhere'} is no worktree on {record.branch}", "a session runs nowhere else")
    why = why_away(context.site, path)
    if why:
        raise LokiError(why, "a session runs nowhere else")


def _recorded(context: Context, record: StreamRecord, tree: SessionTree) -> StreamRecord:
    """Say which process the agent is; only then may it begin."""

    def running(state: State) -> State:
        current = state.streams[record.stream]
        return state.with_stream(current.moved(Status.RUNNING, agent_process=tree.agent))

    return context.store.update(running).streams[record.stream]


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
            reap_adopted(but=child.pid)
        if at > beat:
            beat = at + HEARTBEAT
            _heartbeat(context)
    return False


def _catch_up(context: Context, record: StreamRecord) -> None:
    """A stream that waited starts from the integration branch as it is now, if nobody has worked in it yet."""
    tip = context.git.commit_id(context.integration_ref)
    git = Git(Path(record.path), of=context.site.common)
    at = git.commit_id("HEAD")
    if record.explicit_base or tip is None or at != record.base or at == tip:
        return
    if not is_clean(git) or not git.is_ancestor(record.base, tip):
        return
    if fast_forward(git, tip).returncode == 0:
        context.store.update(lambda state: state.with_stream(replace(state.streams[record.stream], base=tip)))
        note_sync(context, Path(record.path), tip)
        follow_submodules(context.site, Path(record.path), record.base)


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
    lock = try_hold(context.site.private / "heartbeat.lock")
    if lock is not None:
        with lock:
            start_detached(
                worker_argv(ReconcileWork("heartbeat", "native", str(context.site.root))),
                cwd=context.site.root,
                env=scrubbed(),
            )
