"""Apply the steps that reconcile decided on: one small method each, idempotent, safe to be killed in."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from loki_hooks.actions.consent import untrusted_reason
from loki_hooks.actions.context import Context, body_of, body_of_main
from loki_hooks.actions.gates.worktrees import keep_testing
from loki_hooks.actions.landing import upstream
from loki_hooks.actions.landing.advance import advance
from loki_hooks.actions.radar.notices import write_notices
from loki_hooks.actions.removal.retention import expire_when_due
from loki_hooks.actions.removal.retire import clean_stream
from loki_hooks.actions.safe.away import keep_what_is_away, release
from loki_hooks.actions.safe.keeper import renew_all
from loki_hooks.actions.safe.snapshot import forget as forget_snapshot
from loki_hooks.actions.sessions.spawn_queue import show_spawn_queue
from loki_hooks.actions.sessions.turns import see_to_turns
from loki_hooks.actions.streams.faults import contained, look_failed, worked
from loki_hooks.actions.streams.records import Moves
from loki_hooks.actions.streams.signals import take_ready_signals
from loki_hooks.actions.streams.worktree import copy_environment, furnish, make_worktree
from loki_hooks.actions.train.build import forget_trains
from loki_hooks.actions.train.steps import TrainSteps
from loki_hooks.actions.writing import rounds
from loki_hooks.actions.writing.blog import look_for_stories
from loki_hooks.actions.writing.queue_signals import show_queues
from loki_hooks.domain.gates import results
from loki_hooks.domain.reconcile.steps import DONE, Outcome, Step, Verb, done, failed, waits
from loki_hooks.domain.refs import base_ref
from loki_hooks.domain.sessions.ending import Trouble
from loki_hooks.domain.streams.failures import LOOK
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.signals import SignalName
from loki_hooks.domain.streams.status import IN_SESSION, IN_TRAIN, Status
from loki_hooks.domain.work import SessionWork, SetupWork
from loki_hooks.errors import LokiError
from loki_hooks.system.clock import now
from loki_hooks.system.git.operations import git_dir_of
from loki_hooks.system.json import read_json
from loki_hooks.system.locks import PassLock
from loki_hooks.system.processes.alive import identify, is_alive, myself
from loki_hooks.system.processes.detach import worker_argv
from loki_hooks.system.processes.run import scrubbed
from loki_hooks.system.processes.session_tree import SessionTree
from loki_hooks.system.processes.start import start_detached
from loki_hooks.system.store import events, gate_results, signals
from loki_hooks.system.store.spawn_environment import environment_for, forget
from loki_hooks.system.worktrees.registry import unlock_dead, wait_for_git


class Applier(Moves):
    """Takes steps in one context."""

    def __init__(self, context: Context, lock: PassLock) -> None:
        super().__init__(context)
        self.lock = lock
        self.train = TrainSteps(context, lock)
        self.began = now()

    def take(self, step: Step) -> Outcome:
        """Take the step. Raises what it failed with; nothing is half done then."""
        take: dict[Verb, Callable[[Step], Outcome]] = {
            Verb.UNSEEN: lambda step: look_failed(self.context, step),
            Verb.SEEN: self._seen,
            Verb.ADOPT: self._adopt,
            Verb.PREPARE: self._prepare,
            Verb.FAIL: self._fail,
            Verb.SEEN_MERGED: self._seen_merged,
            Verb.VANISHED: self._vanished,
            Verb.MOVED: self._moved,
            Verb.READY: self.train.ready,
            Verb.CONFLICT: self.train.conflict,
            Verb.TEST: self.train.test,
            Verb.CANCEL: self.train.cancel,
            Verb.PASS: self.train.let_pass,
            Verb.REJECT: self.train.reject,
            Verb.NOTE: self._note,
            Verb.LAND: self.train.land,
            Verb.PROPOSE: self.train.propose,
            Verb.FORWARD: self._forward,
            Verb.PUSH: self._push,
            Verb.FOLLOW: self._follow,
            Verb.SETTLE: self._settle,
            Verb.CLEAN: self._clean,
            Verb.REST: self._rest,
            Verb.BEGIN: self._begin,
            Verb.START: self._start,
        }
        return take[step.verb](step)

    # The state -----------------------------------------------------------------------------------------

    def keep_standing(self) -> None:
        """See to it that the streams ``main``, always, and ``testing``, when it has a worktree, are there."""
        state = self.context.store.read()
        main = state.streams.get("main")
        path = str(self.site.root)
        if main is None or main.path != path or main.branch != self.context.integration:
            record = StreamRecord(
                "main", "main", Status.ORCHESTRATING, path, self.context.integration, created_at=now(), origin="adopted"
            )
            self.context.store.update(lambda s: s.with_stream(record))
        contained(self.context, "testing", lambda: keep_testing(self.context))

    def finish(self) -> None:
        """At the end of a pass: what only shows how things are."""
        context = self.context
        chores: dict[str, Callable[[], object]] = {
            "notices": lambda: write_notices(context),
            "worktrees away": lambda: keep_what_is_away(context),
            "TESTS_PASSED": self._signal_green,
            "spawn queue": lambda: show_spawn_queue(context),
            "stories": lambda: look_for_stories(context),
            "queues": lambda: show_queues(context),
            "train": self._forget_train,
            "safe snapshots": lambda: renew_all(context),
            "turns": lambda: see_to_turns(context, self.began),
            "expiry": lambda: expire_when_due(context),
        }
        for name, chore in chores.items():
            contained(context, name, chore)

    def _forget_train(self) -> None:
        """With nothing in the train any more (its last car was rejected, say), nothing of it has to be kept."""
        if not any(r.status in IN_TRAIN for r in self.context.store.read().streams.values()):
            forget_trains(self.context.git)

    def _signal_green(self) -> None:
        """TESTS_PASSED, plain, says that the integration branch's tip is green; it must not say so for another tip."""
        git, config = self.context.git, self.context.config.in_force
        tip = git.commit_id(self.context.integration_ref)
        name = SignalName("TESTS_PASSED")
        if tip is None or not config.gates:
            return
        tree = git.tree_id(tip)
        seen = gate_results.seen(git, tree, config.gates.values(), config)
        if all(entry.result is not None and entry.result.outcome is results.Outcome.PASSED for entry in seen):
            path = self.site.loki / "signals" / name.file
            value = read_json(path)
            if not (isinstance(value, dict) and value.get("commit") == tip):
                signals.emit(self.site, name, body_of_main(self.context, commit=tip, tree=tree))
        else:
            signals.clear(self.site, name)

    # Streams come and go -------------------------------------------------------------------------------

    def _seen(self, step: Step) -> Outcome:
        worked(self.context, step.stream, LOOK)
        self.change(step.stream, lambda r: replace(r, reason=""))
        return DONE

    def _adopt(self, step: Step) -> Outcome:
        git = self.context.git
        record = StreamRecord(
            step.kind, step.name, Status.OPEN, step.path, step.branch, origin="adopted", created_at=now()
        )
        known = git.commit_id(base_ref(record.stream))
        if known is not None and git.is_ancestor(known, step.commit):
            # Registered before and lost with the state (`git clean -xdf`, a corrupt file): its base is still known, but
            # not whether somebody chose it.
            record = replace(record, base=known, explicit_base=not git.is_ancestor(known, self.context.integration_ref))
        else:
            base = git.maybe("merge-base", step.commit, self.context.integration_ref)
            record = replace(record, base=base or step.commit, explicit_base=base is None)
        self.context.store.update(
            lambda s: (
                s
                if (there := s.streams.get(record.stream, record)).status not in {Status.ARCHIVED, Status.OPEN}
                and not there.resting
                else s.with_stream(record)
            )
        )
        furnish(self.context, record)
        events.record(
            self.site, "adopted", record.stream, commit=step.commit, evidence={"path": step.path, "branch": step.branch}
        )
        untrusted = untrusted_reason(self.context)
        if untrusted:
            self.change(record.stream, lambda r: replace(r, reason=f"environment files and set-up: {untrusted}"))
            return done(untrusted)
        copy_environment(self.context, record)
        start_detached(worker_argv(SetupWork(record.stream, str(self.site.root))), cwd=self.site.root, env=scrubbed())
        return DONE

    def _prepare(self, step: Step) -> Outcome:
        """Finish what a killed spawn began; where that is impossible, take it back."""
        record = self.record_of(step.stream)
        if record.status is not Status.PLANNED or is_alive(record.claim):
            return waits("it is being made")
        if not wait_for_git(Path(record.path), 10):
            return waits(f"git is at work in {record.path}")
        try:
            make_worktree(self.context, record)
        except LokiError as error:
            self.context.store.update(lambda s: s.without(step.stream))
            self.context.git.run("update-ref", "-d", base_ref(step.stream))
            forget(self.site, step.stream)
            events.record(self.site, "rolled-back", step.stream, detail=error.message)
            return failed(error.message)
        self.move(step.stream, Status.QUEUED if record.launch else Status.OPEN, claim=None)
        return DONE

    def _fail(self, step: Step) -> Outcome:
        record = self.record_of(step.stream)
        if record.status not in IN_SESSION or is_alive(record.session):
            return waits("its session ended, or goes on")
        if record.session is not None:
            SessionTree(record.session, record.agent_process).end(grace=2)
        unlock_dead(self.site, Path(record.path))
        tip = self.context.git.commit_id(f"refs/heads/{record.branch}") or ""
        self.move(
            step.stream,
            Status.FAILED,
            session=None,
            agent_process=None,
            claim=None,
            ended_at=now(),
            reason=step.reason,
            last_run=record.started_at,
            before=f"failed: {step.reason}",
            trouble=Trouble.RUNNER_DIED.value,
            tip=tip,
        )
        events.record(self.site, "session-failed", step.stream, commit=tip, detail=step.reason)
        signals.emit(
            self.site,
            SignalName("WORKTREE_FAILED", step.stream),
            {**body_of(record, commit=tip), "reason": step.reason},
        )
        return DONE

    def _moved(self, step: Step) -> Outcome:
        """Follow a worktree that somebody moved. One that may be another one, made by hand, is theirs to clean up."""
        old = self.record_of(step.stream).path
        same = git_dir_of(Path(step.path)).name == Path(old).name
        self.change(step.stream, lambda r: replace(r, path=step.path, origin=r.origin if same else "adopted"))
        events.record(self.site, "moved", step.stream, detail=step.reason, evidence={"path": step.path, "before": old})
        return DONE

    def _vanished(self, step: Step) -> Outcome:
        release(self.context, step.stream)
        self.context.store.update(lambda s: s.without(step.stream))
        forget(self.site, step.stream)
        forget_snapshot(self.context, step.stream)
        events.record(self.site, "vanished", step.stream, detail=step.reason)
        return done(step.reason)

    def _seen_merged(self, step: Step) -> Outcome:
        tip = self.context.git.commit_id(self.context.integration_ref) or ""
        record = self.move(step.stream, Status.MERGED, tip=step.commit, landed=tip, reason="", ended_at=now())
        if record is not None:
            take_ready_signals(self.context, record)
            signals.clear(self.site, SignalName("MERGE_REQUESTED", record.stream))
        events.record(self.site, "merged", step.stream, commit=step.commit, detail="seen in git")
        return DONE

    def _clean(self, step: Step) -> Outcome:
        removal = clean_stream(self.context, self.lock, self.record_of(step.stream))
        if removal.remove:
            return done("; ".join(removal.reasons))
        reason = f"kept: {'; '.join(removal.reasons)}"
        self.change(step.stream, lambda r: replace(r, reason=reason))
        return waits(reason)

    def _note(self, step: Step) -> Outcome:
        def note(record: StreamRecord) -> StreamRecord:
            if record.status is Status.TESTING:
                return record.moved(Status.READY, reason=step.reason)
            return replace(record, reason=step.reason)

        self.change(step.stream, note)
        return waits(step.reason)

    # The integration branch ----------------------------------------------------------------------------

    def _forward(self, step: Step) -> Outcome:
        moved = advance(self.context, self.lock, step.commit, step.old, "fast-forward to upstream")
        if moved.moved:
            events.record(self.site, "forwarded", commit=step.commit)
            return DONE
        return waits(moved.reason)

    def _push(self, step: Step) -> Outcome:
        if step.reason:
            upstream.not_pushed(self.context, "push-held", step.commit, step.reason)
            return waits(step.reason)
        problem = upstream.push(self.context, step.commit)
        return waits(problem) if problem else DONE

    def _follow(self, step: Step) -> Outcome:
        from loki_hooks.actions.reconcile.follow import (
            follow,  # it reads code: a pass that follows nothing does without
        )

        return done(follow(self.context, step.old, step.commit))

    # Streams that write --------------------------------------------------------------------------------

    def _settle(self, step: Step) -> Outcome:
        closed = rounds.settle(self.context, self.record_of(step.stream))
        events.record(self.site, "items-settled", step.stream, detail=f"{closed} items closed")
        return done(f"{closed} items closed")

    def _rest(self, step: Step) -> Outcome:
        rounds.rest(self.context, step.stream, Status(step.reason))
        return DONE

    def _begin(self, step: Step) -> Outcome:
        problem = rounds.begin(self.context, step.stream)
        return waits(problem) if problem else done(step.reason)

    # Sessions ------------------------------------------------------------------------------------------

    def _start(self, step: Step) -> Outcome:
        """Start the stream's runner. The claim says who is about to; its token says which attempt it is."""
        token = uuid.uuid4().hex
        claimed = self.change(step.stream, lambda r: replace(r, claim=myself(), claim_token=token, reason=""))
        if claimed is None or claimed.status is not Status.QUEUED:
            return waits("it is not queued any more")
        pid = start_detached(
            worker_argv(SessionWork(step.stream, token, str(self.site.root))),
            cwd=self.site.root,
            env=environment_for(self.site, step.stream),
            output=self.site.folder("logs") / "runner.log",
        )
        runner = identify(pid)

        def hand_over(record: StreamRecord) -> StreamRecord:
            return replace(record, claim=runner) if record.claim_token == token else record

        self.change(step.stream, hand_over)
        return done(f"pid {pid}")
