"""Read a train from the ref that keeps it: base, cars, tips and order are its first-parent chain."""

from __future__ import annotations

from collections.abc import Sequence

from loki_hooks.domain.refs import TIP_TRAILER, TRAIN
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.train.search import Car, Train
from loki_hooks.system.git.git import Git, split_z


def current_train(git: Git, base: str, members: Sequence[StreamRecord], ref: str = TRAIN) -> Train | None:
    """Return the train in ``ref`` if it still stands: on ``base``, every car at its stream's tip; else None."""
    last = git.commit_id(ref)
    if last is None or last == base or not git.is_ancestor(base, last):
        return None
    form = f"--format=%H%x09%T%x09%P%x09%(trailers:key={TIP_TRAILER},valueonly,separator=%x20)"
    listed = git.out("log", "-z", "--first-parent", "--reverse", form, f"{base}..{last}")
    streams = {r.tip: r.stream for r in members}
    cars = []
    before = base
    for line in split_z(listed):
        commit, tree, parents, squashed = line.split("\t")
        first, *merged = parents.split()
        tip = merged[0] if len(merged) == 1 else squashed.strip()
        if first != before or len(merged) > 1 or tip not in streams:
            return None
        cars.append(Car(streams.pop(tip), tip, commit, tree))
        before = commit
    return Train(base, tuple(cars)) if cars and before == last else None
