"""Which function takes which step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loki_hooks.actions.context import Context
from loki_hooks.actions.landing import steps as landing
from loki_hooks.actions.removal import steps as removal
from loki_hooks.actions.sessions import steps as sessions
from loki_hooks.actions.streams import steps as streams
from loki_hooks.actions.train import steps as train
from loki_hooks.actions.writing import steps as writing
from loki_hooks.domain.reconcile.follow import Follow
from loki_hooks.domain.reconcile.gates import Cancel, Test
from loki_hooks.domain.reconcile.landing import Forward, Land, Propose, PushTip
from loki_hooks.domain.reconcile.outcome import StepOutcome, done
from loki_hooks.domain.reconcile.removal import Clean
from loki_hooks.domain.reconcile.sessions import Fail, GivenUp, Start
from loki_hooks.domain.reconcile.steps import Step
from loki_hooks.domain.reconcile.streams import (
    Adopt,
    Anew,
    Moved,
    Note,
    Prepare,
    Ready,
    Renamed,
    Seen,
    SeenMerged,
    SetUp,
    Unseen,
    Vanished,
)
from loki_hooks.domain.reconcile.train import Conflict, LetPass, Reject
from loki_hooks.domain.reconcile.writing import Begin, CloseItems, Rest
from loki_hooks.system.locks import PassLock


def take(context: Context, lock: PassLock, step: Step) -> StepOutcome:
    """Take the step. Raises what it failed with; nothing is half done then."""
    return STEPS[type(step)](context, lock, step)


def _follow(context: Context, _lock: PassLock, step: Follow) -> StepOutcome:
    from loki_hooks.actions.reconcile.follow import follow  # it reads code: a pass that follows nothing does without

    return done(follow(context, step.old, step.commit))


STEPS: dict[type, Callable[[Context, PassLock, Any], StepOutcome]] = {
    Unseen: streams.unseen,
    Seen: streams.seen,
    Adopt: streams.adopt,
    SetUp: streams.set_up,
    Prepare: streams.prepare,
    Moved: streams.moved,
    Renamed: streams.renamed,
    Anew: streams.anew,
    Vanished: removal.vanished,
    SeenMerged: streams.seen_merged,
    Ready: streams.ready,
    Note: streams.note,
    Fail: sessions.fail,
    Start: sessions.start,
    GivenUp: sessions.given_up,
    Conflict: train.conflict,
    Test: train.test,
    Cancel: train.cancel,
    LetPass: train.let_pass,
    Reject: train.reject,
    Land: train.land,
    Propose: landing.propose,
    Forward: landing.forward,
    PushTip: landing.push,
    Follow: _follow,
    CloseItems: writing.close_items,
    Rest: writing.rest,
    Begin: writing.begin,
    Clean: removal.clean,
}
