"""The steps of the merge train: streams are tested, pass or are sent back, conflict, land.

Each is idempotent, and may be killed at any point. `build.py` builds trains, `landing/advance.py` moves the integration branch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from loki_hooks.actions.context import Context, body_of
from loki_hooks.actions.gates import runners
from loki_hooks.actions.gates.run import show_results
from loki_hooks.actions.landing import upstream as remote
from loki_hooks.actions.landing.advance import advance
from loki_hooks.actions.streams.faults import MAIN, StreamFaultError, because_of, step_failed
from loki_hooks.actions.streams.records import change, move, record_of
from loki_hooks.actions.streams.signals import take_ready_signals
from loki_hooks.actions.train.build import forget_trains, pin_train
from loki_hooks.domain.gates import results as gates
from loki_hooks.domain.gates.results import GateResult
from loki_hooks.domain.reconcile.gates import Cancel, Test
from loki_hooks.domain.reconcile.landing import Land
from loki_hooks.domain.reconcile.outcome import DONE, StepOutcome, done, waits
from loki_hooks.domain.reconcile.train import Conflict, LetPass, Reject
from loki_hooks.domain.refs import CONFLICTED, conflict_ref
from loki_hooks.domain.streams.record import WAITS_TO_LAND, StreamRecord
from loki_hooks.domain.streams.signals import SignalName
from loki_hooks.domain.streams.status import Status
from loki_hooks.domain.train.search import Car, Train
from loki_hooks.domain.work import GateWork
from loki_hooks.system.clock import now
from loki_hooks.system.json import read_json
from loki_hooks.system.locks import PassLock
from loki_hooks.system.processes.alive import identify
from loki_hooks.system.processes.detach import worker_argv
from loki_hooks.system.processes.run import scrubbed
from loki_hooks.system.processes.start import start_detached
from loki_hooks.system.store import events, gate_results, signals


def conflict(context: Context, _lock: PassLock, step: Conflict) -> StepOutcome:
    record = record_of(context, step.stream)
    _reopen(context, record)
    move(context, step.stream, Status.CONFLICTED, reason=step.reason)
    take_ready_signals(context, record)
    git = context.git
    git.update_ref(conflict_ref(step.stream), record.tip, None, "conflicted")  # however it is resolved, this was it
    meeting = git.maybe("merge-base", record.tip, step.commit) or record.base
    sides = {
        path: {
            "ours": git.maybe("log", "-1", "--format=%h %s", f"{meeting}..{step.commit}", "--", path) or "",
            "theirs": git.maybe("log", "-1", "--format=%h %s", f"{meeting}..{record.tip}", "--", path) or "",
        }
        for path in step.paths[:20]
    }
    events.record(
        context.site,
        "conflicted",
        step.stream,
        commit=record.tip,
        detail=step.reason,
        evidence={"with": step.commit, "files": sides},
    )
    return done(step.reason)


def test(context: Context, _lock: PassLock, step: Test) -> StepOutcome:
    """Pin the train, mark its streams, and start the gates that have no result for the tree yet."""
    if _upstream_moved(context):
        return waits("the upstream moved meanwhile")
    for car in step.cars[step.passed :]:
        with because_of(car.stream):
            _put_to_test(context, _reopen(context, record_of(context, car.stream)))
    if step.pin:
        pin_train(context.git, Train("", step.cars), f"refs/loki/{step.pin}")
    # The tree under test has the cars up to this commit: where a failed train is bisected that is not all of them.
    streams = [car.stream for car in step.cars]
    tested = streams[: [car.commit for car in step.cars].index(step.commit) + 1] if streams else []
    subject = tested[0] if len(tested) == 1 else ("train" if tested else context.integration)
    pid = start_detached(
        worker_argv(GateWork(step.commit, step.tree, subject, step.places, str(context.site.root), again=step.again)),
        cwd=context.site.root,
        env=scrubbed(),
        output=context.site.folder("logs") / "runner.log",
    )
    runners.started(context, step.tree, step.commit, subject, pid)
    events.record(context.site, "testing", subject, commit=step.commit, evidence={"tree": step.tree, "streams": tested})
    return done(f"started for {', '.join(tested) or context.integration}")


def cancel(context: Context, _lock: PassLock, step: Cancel) -> StepOutcome:
    """End a run of the train whose result nobody needs any more; it leaves none, and its worktree clean."""
    runner = runners.cancel(context, step.tree)
    if runner is None:
        return waits("somebody waits for its result")
    events.record(
        context.site,
        "test-cancelled",
        runner.subject,
        commit=runner.commit,
        detail=step.reason,
        evidence={"tree": step.tree, "pid": runner.process.pid},
    )
    return done(f"{runner.subject}: {step.reason}")


def _reopen(context: Context, record: StreamRecord) -> StreamRecord:
    """Have what passed as it was merged before be ready again: the integration branch has moved."""
    if record.status is not Status.PASSED:
        return record
    return move(context, record.stream, Status.READY) or record


def _put_to_test(context: Context, record: StreamRecord) -> None:
    """Move a stream that is ready on to its tests; its signal has been heard."""
    if record.status is Status.READY:
        take_ready_signals(context, record)
        move(context, record.stream, Status.TESTING, reason="")


def _upstream_moved(context: Context) -> bool:
    """Ask the upstream; return whether it has now what the integration branch has not, and had not before."""
    git, upstream = context.git, remote.upstream_of(context)
    before = git.commit_id(upstream.ref) if upstream.remote else None
    remote.fetch(context, every=2.0)
    after = git.commit_id(upstream.ref) if upstream.remote else None
    return after not in {None, before} and not git.is_ancestor(str(after), context.integration_ref)


def let_pass(context: Context, _lock: PassLock, step: LetPass) -> StepOutcome:
    record = record_of(context, step.stream)
    _put_to_test(context, record)
    record = move(context, step.stream, Status.PASSED, reason="", rejections=0) or record
    _show_results(context, step)
    body = body_of(record, tree=step.tree)
    signals.clear(context.site, SignalName("TESTS_FAILED", record.name))
    signals.emit(context.site, SignalName("TESTS_PASSED", record.name), body)
    way = context.config.working.merge.how_of(record.kind)
    if way.proposes:
        pass  # to merge it is for whoever merges its pull request
    elif upstream_alive(context):
        events.record(
            context.site,
            "merge-request-withheld",
            step.stream,
            detail="an upstream run is alive: it would merge the branch at once",
        )
    else:
        signals.emit(context.site, SignalName("MERGE_REQUESTED", record.stream), {**body, "exit_code": 0})
    events.record(
        context.site,
        "passed",
        step.stream,
        commit=record.tip,
        evidence={"tree": step.tree, "tested": step.commit, "how": way},
    )
    return DONE


def reject(context: Context, _lock: PassLock, step: Reject) -> StepOutcome:
    record = _reopen(context, record_of(context, step.stream))
    _put_to_test(context, record)
    seen = _show_results(context, step)
    failed = [result for result in seen if result.outcome is gates.Outcome.FAILED]
    names = ", ".join(result.gate for result in failed) or "the gate"
    reason = f"{names} failed on it merged with {context.integration}"
    if not failed and (failed := [result for result in seen if result.outcome is gates.Outcome.COULD_NOT_RUN]):
        names = ", ".join(f"{result.gate} ({result.reason})" for result in failed)
        reason = f"{names} could not be run on it merged with {context.integration}, where it can be run without it"
    record = move(context, step.stream, Status.REJECTED, reason=reason, rejections=record.rejections + 1) or record
    signals.clear(context.site, SignalName("TESTS_PASSED", record.name))
    signals.clear(context.site, SignalName("MERGE_REQUESTED", record.stream))
    report = [result.to_json() for result in failed]
    signals.emit(
        context.site,
        SignalName("TESTS_FAILED", record.name),
        {**body_of(record, tree=step.tree), "reason": reason, "report": report},
    )
    events.record(
        context.site,
        "rejected",
        step.stream,
        commit=record.tip,
        detail=reason,
        evidence={"tree": step.tree, "gates": [result.gate for result in failed]},
    )
    return done(reason)


def _show_results(context: Context, step: LetPass | Reject) -> list[GateResult]:
    """Return the gate results of the step's tree, and show them as the stream's last ones."""
    config = context.config.in_force
    seen = gate_results.seen(context.git, step.tree, config.gates.values(), config)
    results = [entry.result for entry in seen if entry.result is not None]
    show_results(context, step.stream, results)
    return results


def land(context: Context, lock: PassLock, step: Land) -> StepOutcome:
    """Land exactly the commit whose tree passed. What stands in the way is noted; everything stays as it is."""
    streams = [car.stream for car in step.cars]
    if _upstream_moved(context):  # landed beside it, the two would have diverged
        return waits("the upstream moved meanwhile")
    pin_train(context.git, Train(step.old, step.cars))
    for stream in streams:
        with because_of(stream):
            move(context, stream, Status.MERGING, reason="")
    moved = advance(context, lock, step.commit, step.old, f"land {', '.join(streams)}")
    if not moved.moved:
        for stream in streams:  # what passed stays proved by its tree; the next pass lands it
            move(context, stream, Status.READY, reason=f"{WAITS_TO_LAND}{moved.reason}")
            signals.clear(context.site, SignalName("MERGE_REQUESTED", stream))
        _say_once(context, step, moved.reason)
        return waits(moved.reason)
    change(context, MAIN, lambda main: replace(main, reason=""))
    git = context.git
    kept = git.refs(CONFLICTED)
    for car in step.cars:
        try:
            with because_of(car.stream):
                _landed(context, car, kept)
        except StreamFaultError as error:  # the branch has moved: the next look sees that it is merged
            step_failed(context, step, error)
    forget_trains(context.git)
    return done(", ".join(streams))


def _say_once(context: Context, step: Land, reason: str) -> None:
    """Record that a landing waits, unless that was said before: passes that look again say nothing new."""
    main = context.store.read().streams.get(MAIN)
    if main is not None and main.reason == reason:
        return
    change(context, MAIN, lambda main: replace(main, reason=reason))
    evidence = {"streams": [car.stream for car in step.cars]}
    events.record(context.site, "landing-waits", commit=step.commit, detail=reason, evidence=evidence)


def _landed(context: Context, car: Car, kept: Mapping[str, str]) -> None:
    if conflict_ref(car.stream) in kept:
        context.git.run("update-ref", "-d", conflict_ref(car.stream))
    move(context, car.stream, Status.MERGED, landed=car.commit, reason="", ended_at=now())
    signals.clear(context.site, SignalName("MERGE_REQUESTED", car.stream))
    events.record(context.site, "landed", car.stream, commit=car.commit, evidence={"tip": car.tip, "tree": car.tree})


def upstream_alive(context: Context) -> bool:
    """Return whether an upstream Loki Mode run lives in the same ``.loki/`` (it says so in ``loki.pid``)."""
    raw = read_json(context.site.loki / "loki.pid")
    return type(raw) is int and raw > 0 and identify(raw) is not None
