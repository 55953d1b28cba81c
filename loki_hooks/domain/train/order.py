"""In which order the cars of a train stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from loki_hooks.domain.streams.record import StreamRecord


def train_order(
    members: Iterable[StreamRecord], conflicts: Mapping[str, Iterable[str]], batch: int
) -> tuple[StreamRecord, ...]:
    """Return the order in which ready streams get onto the train, of which ``batch`` fit on one.

    By priority; then those that conflict with no other ready stream; then by age. One that keeps being overtaken
    would wait for ever, so the one that has waited longest always has a place, if only the last.
    """

    def age(record: StreamRecord) -> tuple[str, str]:
        return record.ended_at or record.created_at, record.stream

    ready = list(members)
    names = {r.stream for r in ready}
    clash = {r.stream for r in ready if not names.isdisjoint(conflicts.get(r.stream, ()))}
    order = sorted(ready, key=lambda r: (-r.priority, r.stream in clash, age(r)))
    if len(order) > batch > 0:
        oldest = min(order, key=age)
        if order.index(oldest) >= batch:
            order.remove(oldest)
            order.insert(batch - 1, oldest)
    return tuple(order)
