"""The decisions of reconcile: facts in, a tuple of small steps out. Pure; the heart of the program.

``decide`` looks at everything at once and names every step that is right *now*. Steps are idempotent and are
decided again from fresh facts until none is left, so being killed between any two of them loses nothing. Here is
only the order; each decider stands in a module of its own, beside the steps that it makes.
"""

from __future__ import annotations

from dataclasses import replace

from loki_hooks.domain.reconcile.facts import Facts
from loki_hooks.domain.reconcile.follow import follow
from loki_hooks.domain.reconcile.landing import catch_up, push
from loki_hooks.domain.reconcile.removal import clean
from loki_hooks.domain.reconcile.sessions import died, start
from loki_hooks.domain.reconcile.steps import Step
from loki_hooks.domain.reconcile.streams import come_and_go, looks, merged_or_ready
from loki_hooks.domain.reconcile.train import move_train
from loki_hooks.domain.reconcile.writing import close_items, writers


def decide(facts: Facts) -> tuple[Step, ...]:
    """Return the steps that are right now, in the order in which to take them.

    A stream that could not be looked at is left alone. What failed and is put off is not among them.
    """
    seen = replace(facts, streams=tuple(s for s in facts.streams if not s.unseen))
    steps: tuple[Step, ...] = (
        *looks(facts),
        *come_and_go(seen),
        *died(seen),
        *catch_up(seen),
        *merged_or_ready(seen),
        *move_train(seen),
        *follow(seen),
        *push(seen),
        *close_items(seen),
        *clean(seen),
        *writers(facts),
        *start(facts),
    )
    of_stream = {s.record.stream: s.put_off for s in facts.streams}
    return tuple(s for s in steps if s.key not in of_stream.get(s.stream, facts.put_off))
