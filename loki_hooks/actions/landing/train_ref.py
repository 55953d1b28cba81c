"""Read a train from the ref that keeps it: base, cars, tips and order are its first-parent chain."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence

from loki_hooks.actions.context import Context
from loki_hooks.actions.landing.merge import merge
from loki_hooks.domain.refs import TIP_TRAILER, TRAIN
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.train.search import Car, Train
from loki_hooks.system.git.git import split_z
from loki_hooks.system.git.merges import Merged, merge_pairs

Merges = MutableMapping[tuple[str, str], Merged]
"""What merging gave, by the two commits: asked once."""


def current_train(
    context: Context, base: str, members: Sequence[StreamRecord], merges: Merges, ref: str = TRAIN
) -> Train | None:
    """Return the train in ``ref`` if it still stands: on ``base``, every car at its stream's tip; else None.

    Whoever may write in the repository may write the ref: each car is the merge that we would make, or there is no train.
    """
    git = context.git
    last = git.commit_id(ref)
    if last is None or last == base or not git.is_ancestor(base, last):
        return None
    form = f"--format=%H%x09%T%x09%P%x09%(trailers:key={TIP_TRAILER},valueonly,separator=%x20)"
    listed = git.out("log", "-z", "--first-parent", "--reverse", form, f"{base}..{last}")
    records = {r.tip: r for r in members}
    cars = []
    before = base
    for line in split_z(listed):
        commit, tree, parents, squashed = line.split("\t")
        first, *merged = parents.split()
        tip = merged[0] if len(merged) == 1 else squashed.strip()
        if first != before or len(merged) > 1 or tip not in records:
            return None
        record = records.pop(tip)
        if context.config.working.merge.how_of(record.kind).squashes is bool(merged):
            return None
        cars.append(Car(record.stream, tip, commit, tree))
        before = commit
    train = Train(base, tuple(cars))
    return train if cars and before == last and _proved(context, train, merges) else None


def _proved(context: Context, train: Train, merges: Merges) -> bool:
    """Whether each car has just the tree that merging its stream's tip into what is before it gives."""
    befores = (train.base, *(car.commit for car in train.cars))
    cars = {(before, car.tip): car.tree for before, car in zip(befores, train.cars, strict=False)}
    todo = [pair for pair in cars if pair not in merges]
    plain = zip(todo, merge_pairs(context.git, todo), strict=True)
    merges.update({pair: result if not result.conflicts else merge(context, *pair) for pair, result in plain})
    return all(merges[pair].tree == tree for pair, tree in cars.items())
