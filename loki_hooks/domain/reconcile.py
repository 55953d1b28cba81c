"""The decisions of reconcile: facts in, a tuple of small steps out. Pure; the heart of the program.

``decide`` looks at everything at once and names every step that is right *now*. Steps are idempotent and are
decided again from fresh facts until none is left, so being killed between any two of them loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from loki_hooks.domain.gates import Standing
from loki_hooks.domain.standing import Writer
from loki_hooks.domain.status import IN_SESSION, IN_TRAIN, LIVING, Status
from loki_hooks.domain.streams import StreamRecord
from loki_hooks.domain.train import BASE, Blame, Blocked, Car, Land, Test, Train, next_move


class Verb(StrEnum):
    ADOPT = "adopt"
    PREPARE = "prepare"
    FAIL = "fail"
    SEEN_MERGED = "seen-merged"
    VANISHED = "vanished"
    READY = "ready"
    CONFLICT = "conflict"
    TEST = "test"
    PASS = "pass"  # noqa: S105  a verb, not a password
    REJECT = "reject"
    NOTE = "note"
    LAND = "land"
    FORWARD = "forward"
    PUSH = "push"
    FOLLOW = "follow"
    SETTLE = "settle"
    CLEAN = "clean"
    REST = "rest"
    BEGIN = "begin"
    START = "start"


@dataclass(frozen=True)
class Step:
    """One thing to do. ``stream`` '' means that it is about the integration branch.

    ``commit`` and ``tree``: what is tested, landed, moved to; ``old``: what it moves from; ``path`` and
    ``branch``: the worktree that is adopted.
    """

    verb: Verb
    stream: str = ""
    reason: str = ""
    commit: str = ""
    tree: str = ""
    old: str = ""
    path: str = ""
    branch: str = ""
    kind: str = ""
    name: str = ""
    cars: tuple[Car, ...] = ()
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """A worktree that git lists and the state does not have, whose branch fits a kind's template."""

    path: str
    branch: str
    kind: str
    name: str
    head: str


@dataclass(frozen=True)
class StreamFacts:
    """A stream as it is. ``tip`` is '' when its branch is gone; ``signalled``: it, or a person, said that it is ready.

    ``merged``: its tip, with work of its own, is in the integration branch. ``solo``: how the tree of it
    alone merged into the integration branch stands, None when it ``conflicts`` (paths) or was not looked at.
    """

    record: StreamRecord
    tip: str = ""
    worktree: bool = True
    session_alive: bool = False
    claim_alive: bool = False
    signalled: bool = False
    merged: bool = False
    solo: Standing | None = None
    solo_tree: str = ""
    conflicts: tuple[str, ...] = ()

    @property
    def wanted(self) -> bool:
        """Whether a person asked to merge just this tip."""
        return bool(self.tip) and self.record.wanted == self.tip


@dataclass(frozen=True)
class Facts:
    """Everything that a pass looks at.

    ``tip``: the integration branch's commit ('' when it has none); ``upstream``: its remote's, '' for none;
    ``diverged``/``behind``/``ahead`` compare the two. ``processed``: the tip whose consequences were drawn.
    ``base``: how the tip's own tree stands. ``gate_running``: some gate of a train is being run right now.
    ``untrusted``: why nothing of the repository's may be run ('' when it may).
    """

    tip: str
    streams: tuple[StreamFacts, ...] = ()
    found: tuple[Found, ...] = ()
    upstream: str = ""
    behind: bool = False
    diverged: bool = False
    ahead: bool = False
    processed: str = ""
    train: Train | None = None
    standings: tuple[Standing, ...] = ()
    base: Standing = Standing.UNKNOWN
    tip_tree: str = ""
    train_problem: str = ""
    """Why no train can be built ('' when one can): git has no identity to commit with, say."""
    gates: bool = True
    gate_running: bool = False
    cap: int = 0
    worktrees_max: int | None = None
    untrusted: str = ""
    merge_auto: bool = True
    merge_push: bool = False
    cleanup_auto: bool = True
    kept: frozenset[str] = field(default_factory=frozenset)
    """Streams whose removal was already refused on the same facts in this pass."""
    writers: tuple[Writer, ...] = ()
    """The streams that write what landed: ``docs``, ``blog``."""
    now: str = ""
    """The time, as the records write it."""


def decide(facts: Facts) -> tuple[Step, ...]:
    """Return the steps that are right now, in the order in which to take them."""
    return (
        *_register(facts),
        *_sessions(facts),
        *_integration(facts),
        *_ready(facts),
        *_train(facts),
        *_after_landing(facts),
        *_writers(facts),
        *_start(facts),
    )


def _register(facts: Facts) -> Iterator[Step]:
    for found in facts.found:
        yield Step(
            Verb.ADOPT, path=found.path, branch=found.branch, kind=found.kind, name=found.name, commit=found.head
        )
    for s in facts.streams:
        record = s.record
        if record.status is Status.PLANNED and not s.claim_alive:
            yield Step(Verb.PREPARE, record.stream)
        elif record.status in LIVING and not s.tip and not s.worktree and not s.session_alive and not s.claim_alive:
            yield Step(Verb.VANISHED, record.stream, "its branch and its worktree were removed")


def _sessions(facts: Facts) -> Iterator[Step]:
    for s in facts.streams:
        if s.record.status in IN_SESSION and not s.session_alive and not s.claim_alive and (s.tip or s.worktree):
            yield Step(Verb.FAIL, s.record.stream, "its runner died (killed, or the machine went down)")


def _integration(facts: Facts) -> Iterator[Step]:
    if facts.behind and not facts.diverged:
        yield Step(Verb.FORWARD, commit=facts.upstream, old=facts.tip)


def _ready(facts: Facts) -> Iterator[Step]:
    for s in facts.streams:
        record, status = s.record, s.record.status
        if s.session_alive or s.claim_alive or not s.tip:
            continue
        if s.merged and status in LIVING and status is not Status.PLANNED:
            yield Step(Verb.SEEN_MERGED, record.stream, commit=s.tip)
        elif status is Status.CONFLICTED and s.tip != record.tip:
            yield Step(Verb.READY, record.stream, "it has new commits", commit=s.tip)
        elif status in IN_TRAIN and s.tip != record.tip:
            yield Step(Verb.READY, record.stream, "its tip moved", commit=s.tip)
        elif (
            s.signalled
            and s.tip != record.base
            and (
                status is Status.OPEN
                or (
                    status in {Status.REJECTED, Status.FAILED, Status.STOPPED, Status.ESCALATED} and s.tip != record.tip
                )
            )
        ):
            yield Step(Verb.READY, record.stream, "FEATURE_READY", commit=s.tip)


def _train(facts: Facts) -> Iterator[Step]:
    members = [s for s in facts.streams if s.record.status in IN_TRAIN and not s.merged and s.tip == s.record.tip]
    if not members or not facts.tip:
        return
    for s in members:
        if s.conflicts and s.record.status is not Status.PASSED:
            yield Step(
                Verb.CONFLICT,
                s.record.stream,
                f"conflicts in {', '.join(s.conflicts[:5])}",
                commit=facts.tip,
                paths=s.conflicts,
            )
    waiting = [s for s in members if not s.conflicts]
    if not facts.gates:
        yield from _note(waiting, "no gate is configured on the integration branch: nothing lands by itself")
        return
    if facts.diverged:
        yield from _note(waiting, "the integration branch and its upstream have diverged")
        return
    if facts.behind:
        yield from _note(waiting, "the integration branch is behind its upstream and must catch up first")
        return
    if facts.train_problem:
        yield from _note(waiting, facts.train_problem)
        return
    if facts.gate_running:
        return
    suspects = [s for s in waiting if s.solo is Standing.FAILED]
    yield from _note(
        [s for s in waiting if s.solo is Standing.BLOCKED],
        "a gate could not be run on it merged with the integration branch: see test-results.json",
    )
    if facts.train is not None and facts.train.cars:
        yield from _move_train(facts, facts.train, suspects, waiting)
    elif suspects:
        yield from _judge_suspects(facts, suspects)


def _move_train(facts: Facts, train: Train, suspects: list[StreamFacts], waiting: list[StreamFacts]) -> Iterator[Step]:
    by_stream = {s.record.stream: s for s in waiting}
    cars = [by_stream[car.stream] for car in train.cars if car.stream in by_stream]
    match next_move(facts.standings, facts.base):
        case Land(index):
            landing = train.cars[: index + 1]
            last = landing[-1]
            for car in landing:
                if by_stream[car.stream].record.status in {Status.READY, Status.TESTING}:
                    yield Step(Verb.PASS, car.stream, commit=car.commit, tree=last.tree)
            # What passes without them shows that they are to blame.
            yield from _reject(suspects)
            if facts.merge_auto or all(by_stream[car.stream].wanted for car in landing):
                yield Step(Verb.LAND, commit=last.commit, tree=last.tree, old=train.base, cars=landing)
            else:
                yield from _note(cars, "merge.auto is off: it waits for a person to land it")
        case Test(index):
            if facts.untrusted:
                yield from _note(cars, facts.untrusted)
            elif index == BASE:
                yield Step(Verb.TEST, commit=facts.tip, tree=facts.tip_tree)
            else:
                yield Step(Verb.TEST, commit=train.cars[index].commit, tree=train.cars[index].tree, cars=train.cars)
        case Blame(index, proved) if proved:
            car = train.cars[index]
            yield Step(Verb.REJECT, car.stream, "its tests failed", commit=car.commit, tree=car.tree)
        case Blocked(index):
            yield from _note(
                cars, f"a gate could not be run on {train.cars[index].stream}'s merge: see test-results.json"
            )


def _judge_suspects(facts: Facts, suspects: list[StreamFacts]) -> Iterator[Step]:
    match facts.base:
        case Standing.PASSED:
            yield from _reject(suspects)
        case Standing.UNKNOWN if facts.untrusted:
            yield from _note(suspects, facts.untrusted)
        case Standing.UNKNOWN:
            yield Step(Verb.TEST, commit=facts.tip, tree=facts.tip_tree)
        case Standing.FAILED:
            yield from _note(suspects, "pre-existing: the same gate fails on the integration branch itself")
        case Standing.BLOCKED:
            yield from _note(suspects, "the gate could not be run on the integration branch: see test-results.json")


def _reject(suspects: list[StreamFacts]) -> Iterator[Step]:
    for s in suspects:
        yield Step(Verb.REJECT, s.record.stream, "its tests failed", commit=s.tip, tree=s.solo_tree)


def _note(streams: list[StreamFacts], reason: str) -> Iterator[Step]:
    for s in streams:
        if s.record.reason != reason or s.record.status is Status.TESTING:
            yield Step(Verb.NOTE, s.record.stream, reason)


def _after_landing(facts: Facts) -> Iterator[Step]:
    if facts.tip and facts.processed != facts.tip:
        yield Step(Verb.FOLLOW, commit=facts.tip, old=facts.processed)
    if facts.merge_push and facts.ahead and not facts.diverged:
        yield Step(Verb.PUSH, commit=facts.tip)
    for s in facts.streams:
        if s.record.status is Status.MERGED and s.record.items:
            yield Step(Verb.SETTLE, s.record.stream)
    if facts.cleanup_auto:
        for s in facts.streams:
            if s.record.status is Status.MERGED and s.record.origin == "spawned" and s.record.stream not in facts.kept:
                yield Step(Verb.CLEAN, s.record.stream)


def _writers(facts: Facts) -> Iterator[Step]:
    room = facts.worktrees_max is None or _worktrees(facts) < facts.worktrees_max
    for writer in facts.writers:
        if writer.resting is not None:
            yield Step(Verb.REST, writer.kind, writer.resting.value)
        elif writer.begins and facts.processed == facts.tip and not facts.untrusted and room:
            yield Step(Verb.BEGIN, writer.kind, f"{writer.waiting} items wait")


def _worktrees(facts: Facts) -> int:
    return sum(1 for s in facts.streams if s.worktree and not s.record.standing and s.record.status in LIVING)


def _start(facts: Facts) -> Iterator[Step]:
    active = sum(1 for s in facts.streams if s.session_alive or s.claim_alive)
    status = {s.record.stream: s.record.status for s in facts.streams}
    waiting = sorted(
        (
            s
            for s in facts.streams
            if s.record.status is Status.QUEUED and not s.claim_alive and not s.merged and (s.tip or s.worktree)
        ),
        key=lambda s: (-s.record.priority, s.record.created_at, s.record.stream),
    )
    made = _worktrees(facts)
    for s in waiting:
        pending = [a for a in s.record.after if status.get(a, Status.ARCHIVED) not in {Status.MERGED, Status.ARCHIVED}]
        if facts.untrusted:
            yield from _note([s], facts.untrusted)
        elif pending:
            yield from _note([s], f"waits for {', '.join(pending)}")
        elif not s.worktree and facts.worktrees_max is not None and made >= facts.worktrees_max:
            yield from _note([s], f"waits for a worktree to go (worktrees.max is {facts.worktrees_max})")
        elif s.record.not_before > facts.now:
            yield from _note([s], f"its provider turned it away: it starts again at {s.record.not_before[:19]}Z")
        elif active < facts.cap:
            active += 1
            yield Step(Verb.START, s.record.stream)
        else:
            yield from _note([s], f"waits for a free place (the cap is {facts.cap})")
