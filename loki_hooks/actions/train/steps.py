"""The steps of the merge train: streams become ready, are tested, pass or are sent back, conflict, land.

Idempotent, safe to be killed in. `train.py` builds trains, `land.py` moves the integration branch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from loki_hooks.actions.context import Context, body_of
from loki_hooks.actions.gates.run import show_results
from loki_hooks.actions.gates.runners import cancel, started
from loki_hooks.actions.landing import upstream as remote
from loki_hooks.actions.landing.advance import advance
from loki_hooks.actions.landing.propose import propose_tested
from loki_hooks.actions.streams.faults import StreamFaultError, because_of, step_failed
from loki_hooks.actions.streams.records import Moves
from loki_hooks.actions.streams.signals import take_ready_signals
from loki_hooks.actions.train.build import forget_trains, pin_train
from loki_hooks.domain.gates import results as gates
from loki_hooks.domain.gates.results import GateResult
from loki_hooks.domain.reconcile.steps import DONE, Outcome, Step, done, waits
from loki_hooks.domain.refs import conflict_ref
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.signals import SignalName
from loki_hooks.domain.streams.status import Status
from loki_hooks.domain.train.search import Car, Train
from loki_hooks.errors import LokiError
from loki_hooks.system.clock import later, now
from loki_hooks.system.json import read_json
from loki_hooks.system.locks import PassLock
from loki_hooks.system.processes.alive import identify
from loki_hooks.system.processes.run import scrubbed
from loki_hooks.system.processes.start import start_detached, worker_argv
from loki_hooks.system.store import events, gate_results, signals

PROPOSE_AGAIN, PROPOSE_AGAIN_MOST = 60.0, 3600.0
"""Seconds after which a proposal that did not work is tried again: at first, and at most."""


class TrainSteps(Moves):
    """Takes the train's steps in one context."""

    def __init__(self, context: Context, lock: PassLock) -> None:
        super().__init__(context)
        self.lock = lock

    def ready(self, step: Step) -> Outcome:
        record = self.move(step.stream, Status.READY, tip=step.commit, reason="", not_before="", turned_away=0)
        if record is not None:
            take_ready_signals(self.context, record)
            signals.clear(self.site, SignalName("TESTS_PASSED", record.name))
            signals.clear(self.site, SignalName("TESTS_FAILED", record.name))
            signals.clear(self.site, SignalName("MERGE_REQUESTED", record.stream))
        events.record(self.site, "ready", step.stream, commit=step.commit, detail=step.reason)
        return DONE

    def conflict(self, step: Step) -> Outcome:
        record = self.record_of(step.stream)
        self._reopen(record)
        self.move(step.stream, Status.CONFLICTED, reason=step.reason)
        take_ready_signals(self.context, record)
        git = self.context.git
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
            self.site,
            "conflicted",
            step.stream,
            commit=record.tip,
            detail=step.reason,
            evidence={"with": step.commit, "files": sides},
        )
        return done(step.reason)

    def test(self, step: Step) -> Outcome:
        """Pin the train, mark its streams, and start the gates that have no result for the tree yet."""
        if self._upstream_moved():
            return waits("the upstream moved meanwhile")
        for car in step.cars:
            with because_of(car.stream):
                self._put_to_test(self._reopen(self.record_of(car.stream)))
        if step.pin:
            pin_train(self.context.git, Train("", step.cars), f"refs/loki/{step.pin}")
        # The tree under test has the cars up to this commit: where a failed train is bisected that is not all of them.
        streams = [car.stream for car in step.cars]
        tested = streams[: [car.commit for car in step.cars].index(step.commit) + 1] if streams else []
        subject = tested[0] if len(tested) == 1 else ("train" if tested else self.context.integration)
        pid = start_detached(
            worker_argv("worker", "gate", step.commit, step.tree, subject, str(step.places), str(self.site.root)),
            cwd=self.site.root,
            env=scrubbed(),
            output=self.site.folder("logs") / "runner.log",
        )
        started(self.context, step.tree, step.commit, subject, pid)
        events.record(
            self.site, "testing", subject, commit=step.commit, evidence={"tree": step.tree, "streams": tested}
        )
        return done(f"started for {', '.join(tested) or self.context.integration}")

    def cancel(self, step: Step) -> Outcome:
        """End a run of the train whose result nobody needs any more; it leaves none, and its worktree clean."""
        runner = cancel(self.context, step.tree)
        if runner is None:
            return waits("somebody waits for its result")
        events.record(
            self.site,
            "test-cancelled",
            runner.subject,
            commit=runner.commit,
            detail=step.reason,
            evidence={"tree": step.tree, "pid": runner.process.pid},
        )
        return done(f"{runner.subject}: {step.reason}")

    def _reopen(self, record: StreamRecord) -> StreamRecord:
        """Have what passed as it was merged before be ready again: the integration branch has moved."""
        if record.status is not Status.PASSED:
            return record
        return self.move(record.stream, Status.READY) or record

    def _put_to_test(self, record: StreamRecord) -> None:
        """Move a stream that is ready on to its tests; its signal has been heard."""
        if record.status is Status.READY:
            take_ready_signals(self.context, record)
            self.move(record.stream, Status.TESTING, reason="")

    def _upstream_moved(self) -> bool:
        """Ask the upstream; return whether it has now what the integration branch has not, and had not before."""
        git, upstream = self.context.git, remote.upstream_of(self.context)
        before = git.commit_id(upstream.ref) if upstream.remote else None
        remote.fetch(self.context, every=2.0)
        after = git.commit_id(upstream.ref) if upstream.remote else None
        return after not in {None, before} and not git.is_ancestor(str(after), self.context.integration_ref)

    def let_pass(self, step: Step) -> Outcome:
        record = self.record_of(step.stream)
        self._put_to_test(record)
        record = self.move(step.stream, Status.PASSED, reason="", rejections=0) or record
        self._show_results(step)
        body = body_of(record, tree=step.tree)
        signals.clear(self.site, SignalName("TESTS_FAILED", record.name))
        signals.emit(self.site, SignalName("TESTS_PASSED", record.name), body)
        way = self.context.config.working.merge.how_of(record.kind)
        if way.proposes:
            pass  # to merge it is for whoever merges its pull request
        elif upstream_alive(self.context):
            events.record(
                self.site,
                "merge-request-withheld",
                step.stream,
                detail="an upstream run is alive: it would merge the branch at once",
            )
        else:
            signals.emit(self.site, SignalName("MERGE_REQUESTED", record.stream), {**body, "exit_code": 0})
        events.record(
            self.site,
            "passed",
            step.stream,
            commit=record.tip,
            evidence={"tree": step.tree, "tested": step.commit, "how": way},
        )
        return DONE

    def reject(self, step: Step) -> Outcome:
        record = self._reopen(self.record_of(step.stream))
        self._put_to_test(record)
        failed = [result for result in self._show_results(step) if result.outcome is gates.Outcome.FAILED]
        names = ", ".join(result.gate for result in failed) or "the gate"
        reason = f"{names} failed on it merged with {self.context.integration}"
        record = self.move(step.stream, Status.REJECTED, reason=reason, rejections=record.rejections + 1) or record
        signals.clear(self.site, SignalName("TESTS_PASSED", record.name))
        signals.clear(self.site, SignalName("MERGE_REQUESTED", record.stream))
        report = [result.to_json() for result in failed]
        signals.emit(
            self.site,
            SignalName("TESTS_FAILED", record.name),
            {**body_of(record, tree=step.tree), "reason": reason, "report": report},
        )
        events.record(
            self.site,
            "rejected",
            step.stream,
            commit=record.tip,
            detail=reason,
            evidence={"tree": step.tree, "gates": [result.gate for result in failed]},
        )
        return done(reason)

    def _show_results(self, step: Step) -> list[GateResult]:
        """Return the gate results of the step's tree, and show them as the stream's last ones."""
        config = self.context.config.in_force
        seen = gate_results.seen(self.context.git, step.tree, config.gates.values(), config)
        results = [entry.result for entry in seen if entry.result is not None]
        show_results(self.context, step.stream, results)
        return results

    def land(self, step: Step) -> Outcome:
        """Land exactly the commit whose tree passed. What stands in the way is noted; everything stays as it is."""
        streams = [car.stream for car in step.cars]
        if self._upstream_moved():  # landed beside it, the two would have diverged
            return waits("the upstream moved meanwhile")
        pin_train(self.context.git, Train(step.old, step.cars))
        for stream in streams:
            with because_of(stream):
                self.move(stream, Status.MERGING, reason="")
        moved = advance(self.context, self.lock, step.commit, step.old, f"land {', '.join(streams)}")
        if not moved.moved:
            for stream in streams:  # what passed stays proved by its tree; the next pass lands it
                self.move(stream, Status.READY, reason=f"waits to land: {moved.reason}")
                signals.clear(self.site, SignalName("MERGE_REQUESTED", stream))
            events.record(
                self.site, "landing-waits", commit=step.commit, detail=moved.reason, evidence={"streams": streams}
            )
            return waits(moved.reason)
        git = self.context.git
        kept = git.refs("refs/loki/conflicted/")
        for car in step.cars:
            try:
                with because_of(car.stream):
                    self._landed(car, kept)
            except StreamFaultError as error:  # the branch has moved: the next look sees that it is merged
                step_failed(self.context, step, error)
        forget_trains(self.context.git)
        return done(", ".join(streams))

    def _landed(self, car: Car, kept: Mapping[str, str]) -> None:
        if conflict_ref(car.stream) in kept:
            self.context.git.run("update-ref", "-d", conflict_ref(car.stream))
        self.move(car.stream, Status.MERGED, landed=car.commit, reason="", ended_at=now())
        signals.clear(self.site, SignalName("MERGE_REQUESTED", car.stream))
        events.record(self.site, "landed", car.stream, commit=car.commit, evidence={"tip": car.tip, "tree": car.tree})

    def propose(self, step: Step) -> Outcome:
        """Open the pull request of a stream that passed. What hinders it is noted; it is tried again, ever more seldom."""
        try:
            proposal = propose_tested(self.context, self.record_of(step.stream))
        except LokiError as error:
            why = error.message
        else:
            if not proposal.again:
                return done(proposal.url or proposal.todo)
            why = f"it is pushed to {proposal.remote}, but not proposed: {proposal.todo}"

        def put_off(record: StreamRecord) -> StreamRecord:
            wait = min(PROPOSE_AGAIN * 2 ** min(record.turned_away, 10), PROPOSE_AGAIN_MOST)
            times = record.turned_away + 1
            return replace(record, reason=f"waits to be proposed: {why}", not_before=later(wait), turned_away=times)

        self.change(step.stream, put_off)
        events.record(self.site, "proposal-waits", step.stream, commit=step.commit, detail=why)
        return waits(why)


def upstream_alive(context: Context) -> bool:
    """Return whether an upstream Loki Mode run lives in the same ``.loki/`` (it says so in ``loki.pid``)."""
    raw = read_json(context.site.loki / "loki.pid")
    return type(raw) is int and raw > 0 and identify(raw) is not None
