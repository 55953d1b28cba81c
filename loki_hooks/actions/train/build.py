"""Build the merge train in the object database. Nothing is checked out; no branch moves.

The train that is under way is kept in ``refs/loki/train``: its last commit. Base, cars, tips and order can be
read off its first-parent chain (a squashed car names its tip in a trailer), so nothing else is stored, and exactly
the commits that were tested land. The trains without one of its cars that are compared are in ``refs/loki/rest/``,
each under the stream that is left out, for as long.
"""

from __future__ import annotations

from collections.abc import Sequence

from loki_hooks.actions.context import Context
from loki_hooks.actions.landing.merge import landing_of, merge
from loki_hooks.actions.landing.signing import landing_commit
from loki_hooks.domain.refs import TRAIN, WITHOUT
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.train.search import Car, Train
from loki_hooks.system.git.git import Git


def build_train(context: Context, base: str, members: Sequence[StreamRecord]) -> Train:
    """Return a new train of the members that merge cleanly one on the other, in order. Pins nothing yet.

    One that conflicts only with those before it stays where it is, for a later train.
    """
    before = base
    cars: list[Car] = []
    for record in members:
        if len(cars) == context.config.working.merge.batch:
            break
        merged = merge(context, before, record.tip)
        if merged.conflicts:
            continue
        way = context.config.working.merge.how_of(record.kind)
        parents = (before,) if way.squashes else (before, record.tip)
        before = landing_commit(context, merged.tree, parents, landing_of(context, record, way, before))
        cars.append(Car(record.stream, record.tip, before, merged.tree))
    return Train(base, tuple(cars))


def pin_train(git: Git, train: Train, ref: str = TRAIN) -> None:
    """Keep the train's commits from garbage collection, and for the next pass."""
    git.update_ref(ref, train.cars[-1].commit, None, "merge train")


def forget_trains(git: Git) -> None:
    """Drop what `pin_train` kept."""
    for ref, last in git.refs(TRAIN, WITHOUT).items():
        git.delete_ref(ref, last)
