"""What the gates say of each stream: merged alone into the integration branch, or as what was tested has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loki_hooks.actions.context import Context
from loki_hooks.actions.gates.run import shown_results
from loki_hooks.actions.landing.train_ref import current_train
from loki_hooks.domain.gates.results import GateResult, Standing, standing
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import Status
from loki_hooks.system.store import gate_results


def gates_of(
    context: Context, records: Sequence[StreamRecord], alone: Mapping[str, str], base: str
) -> dict[str, dict[str, GateResult]]:
    """Return the gate results of streams, by name. ``alone``: the tree of each merged alone into ``base``.

    Those that passed together have the results of the train that they are on; one that was sent back with others, those of
    what showed it.
    """
    have = gate_results.tested_trees(context.git)
    trees = {stream: tree for stream, tree in alone.items() if tree in have}
    waiting = [r for r in records if r.status in {Status.READY, Status.TESTING, Status.PASSED, Status.MERGING}]
    train = current_train(context, base, waiting, {}) if base and waiting else None
    if train is not None:
        passed = [n for n, car in enumerate(train.cars) if car.tree in have and _has_passed(context, car.tree)]
        last = max(passed, default=-1)
        trees = {car.stream: train.cars[last].tree for car in train.cars[: last + 1]} | trees
    shown = shown_results(context)
    for r in records:
        commit, tree = shown.get(r.stream, ("", ""))
        sent_back = r.status is Status.REJECTED and r.stream not in trees and tree in have
        if sent_back and r.tip and context.git.is_ancestor(r.tip, commit):
            trees[r.stream] = tree
    return {stream: _results(context, tree) for stream, tree in trees.items()}


def _results(context: Context, tree: str) -> dict[str, GateResult]:
    config = context.config.in_force
    seen = gate_results.seen(context.git, tree, config.gates.values(), config)
    return {entry.gate.name: entry.result for entry in seen if entry.result is not None}


def _has_passed(context: Context, tree: str) -> bool:
    config = context.config.in_force
    return standing(gate_results.seen(context.git, tree, config.gates.values(), config)) is Standing.PASSED
