"""Build the merge train in the object database. Nothing is checked out; no branch moves.

The train that is under way is kept in ``refs/loki/train``: its last commit. Base, cars, tips and order can be
read off its first-parent chain, so nothing else is stored, and exactly the commits that were tested land.
"""

from __future__ import annotations

from collections.abc import Sequence

from loki_hooks.actions.context import Context
from loki_hooks.domain.streams import StreamRecord
from loki_hooks.domain.train import Car, Train
from loki_hooks.system.git import Git
from loki_hooks.system.merges import commit_tree, merge_trees

TRAIN_REF = "refs/loki/train"
MAX_CARS = 64


def current_train(git: Git, base: str, members: Sequence[StreamRecord]) -> Train | None:
    """Return the train in ``refs/loki/train`` if it still stands: on ``base``, every car at its stream's tip; else None."""
    last = git.commit_id(TRAIN_REF)
    if last is None or last == base or not git.is_ancestor(base, last):
        return None
    listed = git.out("rev-list", "--first-parent", "--reverse", "--parents", f"--max-count={MAX_CARS + 1}",
                     f"{base}..{last}").splitlines()
    streams = {r.tip: r.stream for r in members}
    cars = []
    before = base
    for line in listed:
        commit, *parents = line.split()
        if len(parents) != 2 or parents[0] != before or parents[1] not in streams:
            return None
        cars.append(Car(streams.pop(parents[1]), parents[1], commit, git.tree_id(commit)))
        before = commit
    return Train(base, tuple(cars)) if cars and before == last else None


def build_train(context: Context, base: str, members: Sequence[StreamRecord]) -> Train:
    """Return a new train of the members that merge cleanly one on the other, in order. Pins nothing yet.

    One that conflicts only with those before it stays where it is, for a later train.
    """
    before = base
    cars: list[Car] = []
    for record in members:
        if len(cars) == context.config.working.merge.batch:
            break
        merged = merge_trees(context.git, before, record.tip)
        if merged.conflicts:
            continue
        before = commit_tree(context.git, merged.tree, (before, record.tip), message_of(context, record))
        cars.append(Car(record.stream, record.tip, before, merged.tree))
    return Train(base, tuple(cars))


def pin_train(git: Git, train: Train) -> None:
    """Keep the train's commits from garbage collection, and for the next pass."""
    git.update_ref(TRAIN_REF, train.cars[-1].commit, None, "merge train")


def message_of(context: Context, record: StreamRecord) -> str:
    """Return the merge commit's message: it names the stream, its task and the gates."""
    lines = [f"Merge stream {record.name} ({record.branch}) into {context.integration}", ""]
    if record.task.title:
        lines += [record.task.title, ""]
    lines.append(f"Loki-Stream: {record.stream}")
    if record.task.id:
        lines.append(f"Loki-Task: {record.task.id}")
    gates = ", ".join(sorted(context.config.in_force.gates))
    if gates:
        lines.append(f"Loki-Gates: {gates}")
    return "\n".join(lines) + "\n"
