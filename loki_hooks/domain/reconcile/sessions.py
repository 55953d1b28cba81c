"""Which sessions start, and which have died."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from loki_hooks.domain.reconcile.base import StreamStep
from loki_hooks.domain.reconcile.facts import Facts
from loki_hooks.domain.reconcile.streams import Note, Prepare, note
from loki_hooks.domain.streams.status import IN_SESSION, Status


@dataclass(frozen=True)
class Fail(StreamStep):
    """The session's runner is gone, and could not say so itself."""

    word: ClassVar[str] = "fail"
    reason: ClassVar[str] = "its runner died (killed, or the machine went down)"


@dataclass(frozen=True)
class Start(StreamStep):
    """Start the session of a stream that is queued."""

    word: ClassVar[str] = "start"


@dataclass(frozen=True)
class GivenUp(StreamStep):
    """What the stream was to begin after was given up: a person decides."""

    word: ClassVar[str] = "given-up"
    after: tuple[str, ...]


def died(facts: Facts) -> Iterator[Fail]:
    """Find the sessions whose runner is gone."""
    for s in facts.streams:
        if s.record.status in IN_SESSION and not s.session_alive and not s.claim_alive and s.there:
            yield Fail(s.record.stream)


def start(facts: Facts) -> Iterator[Start | Prepare | GivenUp | Note]:
    """Start what is queued, by priority and age, as far as there is room; say of the others what they wait for.

    What waits in a plan gets its worktree when its turn to start has come, and is queued then.
    """
    active = sum(1 for s in facts.streams if s.session_alive or s.claim_alive)
    status = {s.record.stream: s.record.status for s in facts.streams}
    waiting = sorted(
        (
            s
            for s in facts.streams
            if (s.record.status is Status.QUEUED and (s.tip or s.worktree)) or s.record.waits_in_plan
            if not (s.claim_alive or s.merged or s.unseen or Start.word in s.put_off or Prepare.word in s.put_off)
        ),
        key=lambda s: (-s.record.priority, s.record.created_at, s.record.stream),
    )
    for s in waiting:
        pending = [a for a in s.record.after if status.get(a, Status.ARCHIVED) not in {Status.MERGED, Status.ARCHIVED}]
        if given_up := tuple(a for a in s.record.after if a in facts.given_up):
            yield GivenUp(s.record.stream, given_up)
        elif facts.untrusted:
            yield from note([s], facts.untrusted)
        elif s.away:
            yield from note([s], s.away)
        elif pending:
            yield from note([s], f"waits for {', '.join(pending)}")
        elif not s.worktree and not facts.room_for_worktree:
            yield from note([s], f"waits for a worktree to go (worktrees.max is {facts.worktrees_max})")
        elif s.record.not_before > facts.now:
            yield from note([s], f"its provider turned it away: it starts again at {s.record.not_before[:19]}Z")
        elif active < facts.cap:
            active += 1
            yield Prepare(s.record.stream) if s.record.waits_in_plan else Start(s.record.stream)
        else:
            yield from note([s], f"waits for a free place (the cap is {facts.cap})")
