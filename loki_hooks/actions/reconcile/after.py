"""What a pass does at its end: it shows how things are, and tidies up. What fails of it hinders nothing else."""

from __future__ import annotations

from collections.abc import Callable

from loki_hooks.actions.context import Context, body_of_main
from loki_hooks.actions.radar.notices import write_notices
from loki_hooks.actions.removal.retention import expire_when_due
from loki_hooks.actions.safe.away import keep_what_is_away
from loki_hooks.actions.safe.keeper import renew_all
from loki_hooks.actions.sessions.spawn_queue import show_spawn_queue
from loki_hooks.actions.sessions.turns import see_to_turns
from loki_hooks.actions.streams.faults import contained
from loki_hooks.actions.train.build import forget_trains
from loki_hooks.actions.writing.blog import look_for_stories
from loki_hooks.actions.writing.queue_signals import show_queues
from loki_hooks.domain.gates.results import Outcome
from loki_hooks.domain.streams.signals import SignalName
from loki_hooks.domain.streams.status import IN_TRAIN
from loki_hooks.system.json import read_json
from loki_hooks.system.store import gate_results, signals


def after_steps(context: Context, began: str) -> None:
    """Do all the chores. ``began``: when the round of the pass did (UTC, ISO 8601)."""
    chores: dict[str, Callable[[], object]] = {
        "notices": lambda: write_notices(context),
        "worktrees away": lambda: keep_what_is_away(context),
        "TESTS_PASSED": lambda: _signal_green(context),
        "spawn queue": lambda: show_spawn_queue(context),
        "stories": lambda: look_for_stories(context),
        "queues": lambda: show_queues(context),
        "train": lambda: _forget_train(context),
        "safe snapshots": lambda: renew_all(context),
        "turns": lambda: see_to_turns(context, began),
        "expiry": lambda: expire_when_due(context),
    }
    for name, chore in chores.items():
        contained(context, name, chore)


def _forget_train(context: Context) -> None:
    """With nothing in the train any more (its last car was rejected, say), nothing of it has to be kept."""
    if not any(r.status in IN_TRAIN for r in context.store.read().streams.values()):
        forget_trains(context.git)


def _signal_green(context: Context) -> None:
    """TESTS_PASSED, plain, says that the integration branch's tip is green; it must not say so for another tip."""
    git, config = context.git, context.config.in_force
    tip = git.commit_id(context.integration_ref)
    name = SignalName("TESTS_PASSED")
    if tip is None or not config.gates:
        return
    tree = git.tree_id(tip)
    seen = gate_results.seen(git, tree, config.gates.values(), config)
    if all(entry.result is not None and entry.result.outcome is Outcome.PASSED for entry in seen):
        value = read_json(context.site.loki / "signals" / name.file)
        if not (isinstance(value, dict) and value.get("commit") == tip):
            signals.emit(context.site, name, body_of_main(context, commit=tip, tree=tree))
    else:
        signals.clear(context.site, name)
