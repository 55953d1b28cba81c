"""Reconcile: one pass that compares what should be with what is, and does the next right things.

Everything else only triggers it. One pass runs at a time (a kernel lock that ends with its process); whoever
comes while one runs leaves a mark, and the runner goes round again before it leaves. A pass gathers facts,
decides (``domain/reconcile/decide.py``), applies the steps, and repeats until none is left. A step that failed is
reported, costs its own stream at most, and is not tried again in the same pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loki_hooks.actions.consent import approve_gates
from loki_hooks.actions.context import Context
from loki_hooks.actions.gates.worktrees import keep_testing
from loki_hooks.actions.install.standing import stand_up
from loki_hooks.actions.landing import upstream
from loki_hooks.actions.reconcile.after import after_steps
from loki_hooks.actions.reconcile.apply import take
from loki_hooks.actions.reconcile.gather import gather
from loki_hooks.actions.streams.faults import contained, owner_of, step_failed, worked
from loki_hooks.actions.train.look import Memory
from loki_hooks.domain.reconcile.decide import decide
from loki_hooks.domain.reconcile.outcome import StepOutcome, Went
from loki_hooks.domain.reconcile.removal import Clean
from loki_hooks.domain.reconcile.steps import Step
from loki_hooks.domain.reconcile.streams import Seen, Unseen
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import IN_TRAIN, Status
from loki_hooks.domain.verdict import Verdict, judge_streams
from loki_hooks.errors import InterruptedRunError
from loki_hooks.system.clock import now
from loki_hooks.system.config.trust import by_environment
from loki_hooks.system.locks import PassLock, busy_pass, try_hold_pass
from loki_hooks.system.site import Site, require_on
from loki_hooks.system.store import events
from loki_hooks.system.store.marks import PassMarks

ROUNDS = 200
TRUSTED_WAIT = 120.0


@dataclass(frozen=True)
class Done:
    """A step that was taken, and what became of it."""

    step: Step
    outcome: StepOutcome


@dataclass(frozen=True)
class Report:
    """What a pass did. ``ran`` False: another pass was running, which was told to go round again."""

    steps: tuple[Done, ...]
    verdict: Verdict
    ran: bool = True


def reconcile(
    site: Site, *, wait: float = 0.0, fetch: bool = False, say: Callable[[str], None] | None = None
) -> Report:
    """Make a pass, waiting at most ``wait`` seconds for a running one to end.

    ``fetch``: ask the upstream first. ``say`` is told what did not work; what happened is in the event log.
    """
    require_on(site)
    site.ensure()
    marks = PassMarks(site, trusted=by_environment(site))
    marks.ask()
    if marks.trusted:  # a pass that is running may not be allowed what we are
        wait = max(wait, TRUSTED_WAIT)
    done: list[Done] = []
    ran = False
    while marks.wanted() or not ran:
        lock = try_hold_pass(site, wait)
        if lock is None:
            if wait and say is not None:
                problem = busy_pass(site, wait)
                say(f"{problem.message}; {problem.hint}")
            break
        with lock:
            require_on(site)  # it may have been uninstalled while we waited
            if not marks.wanted():  # a pass that began after our mark has seen everything that we know, and is over now
                break
            ran = True
            done += _pass(site, lock, marks, fetch=fetch, say=say)
            fetch = False
    context = Context(site)
    return Report(tuple(done), judge_streams(context.store.read().streams.values()), ran)


def _pass(
    site: Site, lock: PassLock, marks: PassMarks, *, fetch: bool, say: Callable[[str], None] | None
) -> list[Done]:
    context = Context(site)
    _keep_standing(context)
    if fetch or any(r.status in IN_TRAIN | {Status.PROPOSED} for r in context.store.read().streams.values()):
        problem = contained(context, "fetch", lambda: upstream.fetch(context)) or ""
        if problem and say:
            say(problem)
    done: list[Done] = []
    tried: set[Step] = set()
    memory = Memory()
    for _ in range(ROUNDS):  # it ends by itself: no step is taken twice
        marks.take()
        context, began = Context(site), now()  # anew: a landing may have changed what is in force
        steps = [step for step in decide(gather(context, memory)) if step not in tried]
        if not steps:
            break
        for step in steps:
            tried.add(step)
            taken = _take(context, lock, step)
            done.append(taken)
            if isinstance(step, Clean) and taken.outcome.how is not Went.DONE:
                memory.kept.add(step.stream)
            if say is not None and taken.outcome.how is Went.FAILED:
                say(describe(taken))
    else:
        _say_unfinished(context, say)
    after_steps(context, began)
    marks.settle()
    return done


def _keep_standing(context: Context) -> None:
    """See to it that the streams ``main``, always, and ``testing``, when it has a worktree, are there."""
    main = context.store.read().streams.get("main")
    path, branch = str(context.site.root), context.integration
    contained(context, "integration branch", lambda: upstream.keep_integration(context))
    if main is None or main.path != path or main.branch != branch:
        record = StreamRecord("main", "main", Status.ORCHESTRATING, path, branch, created_at=now(), origin="adopted")
        context.store.update(lambda s: s.with_stream(record))
    contained(context, "testing", lambda: keep_testing(context))
    contained(context, "gate configuration", lambda: approve_gates(context))
    contained(context, "hooks", lambda: stand_up(context.site))


def _say_unfinished(context: Context, say: Callable[[str], None] | None) -> None:
    why = f"a pass took steps {ROUNDS} times and was not at its end: the next pass goes on"
    events.record(context.site, "pass-unfinished", detail=why)
    if say is not None:
        say(why)


def _take(context: Context, lock: PassLock, step: Step) -> Done:
    """Take one step. The failure of one stream never stops another, whatever it is."""
    try:
        outcome = take(context, lock, step)
    except InterruptedRunError:
        raise
    except Exception as error:  # noqa: BLE001  a bug, a full disk, a strange file: it costs this step
        return Done(step, step_failed(context, step, error))
    if not isinstance(step, Unseen | Seen):
        worked(context, owner_of(step), step.key)
    return Done(step, outcome)


def describe(done: Done) -> str:
    """Return a taken step as a line for people."""
    reason = done.outcome.reason
    return f"{done.step} {done.outcome.how}" + (f" ({reason})" if reason else "")
