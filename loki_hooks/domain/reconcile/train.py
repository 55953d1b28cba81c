"""The merge train: which streams are tested, pass, land, are sent back or conflict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from loki_hooks.domain.gates.results import Comparison, Standing
from loki_hooks.domain.reconcile.base import StreamStep
from loki_hooks.domain.reconcile.facts import Facts, StreamFacts
from loki_hooks.domain.reconcile.gates import (
    Cancel,
    Test,
    cancel_useless,
    car_test,
    tests_in_room,
    tip_test,
    useful_trees,
)
from loki_hooks.domain.reconcile.landing import Land, Propose, prove, trouble
from loki_hooks.domain.reconcile.streams import Note, Ready, note
from loki_hooks.domain.streams.status import Status
from loki_hooks.domain.train import search
from loki_hooks.domain.train.search import Train

BY_HAND = "merge.auto is off"
PRE_EXISTING = "pre-existing: the same gate fails on the integration branch itself"


@dataclass(frozen=True)
class Conflict(StreamStep):
    """The stream conflicts with the integration branch at ``commit`` in ``paths``."""

    word: ClassVar[str] = "conflict"
    commit: str
    paths: tuple[str, ...]

    @property
    def reason(self) -> str:
        return f"conflicts in {', '.join(self.paths[:5])}"


@dataclass(frozen=True)
class LetPass(StreamStep):
    """The stream passed: ``tree``, which has it merged, did. ``commit``: what was tested of it."""

    word: ClassVar[str] = "pass"
    commit: str
    tree: str


@dataclass(frozen=True)
class Reject(StreamStep):
    """Send the stream back: ``tree``, which ``commit`` has, fails because of it."""

    word: ClassVar[str] = "reject"
    commit: str
    tree: str


TrainStep = Conflict | Test | Cancel | LetPass | Reject | Ready | Note | Land | Propose


def move_train(facts: Facts) -> Iterator[TrainStep]:
    """Decide on the train, then start what must be tested as far as there is room, and end what no longer need be."""
    members = [s for s in facts.streams if s.in_train]
    able = [s for s in members if not s.conflicts]
    waiting = [s for s in able if not s.taken_out]
    for s in members if facts.tip else ():
        if s.conflicts:
            yield Conflict(s.record.stream, facts.tip, s.conflicts)
    problem = trouble(facts) if able and facts.tip else ""
    if problem:
        yield from note(able, problem)
        return
    yield from _hold_back(s for s in able if s.taken_out)
    steps = list(_land_or_test(facts, waiting)) if waiting and facts.tip else []
    wanted, others = _tests_apart(steps)
    wanted += prove(facts, [test.tree for test in wanted])
    useful = useful_trees(facts, wanted)
    yield from others
    if all(isinstance(step, Note) for step in others):  # else what is useful is seen when those are taken
        yield from cancel_useless(facts, useful)
    yield from tests_in_room(facts, wanted, useful)


def _tests_apart(steps: Iterable[TrainStep]) -> tuple[list[Test], list[TrainStep]]:
    tests: list[Test] = []
    others: list[TrainStep] = []
    for step in steps:
        if isinstance(step, Test):
            tests.append(step)
        else:
            others.append(step)
    return tests, others


def _hold_back(streams: Iterable[StreamFacts]) -> Iterator[Ready | Note]:
    """What has passed, with what was taken out of the integration branch since, may be merged by nobody any more."""
    for s in streams:
        if s.record.status in {Status.PASSED, Status.MERGING}:
            yield Ready(s.record.stream, s.taken_out, s.tip)
        else:
            yield from note([s], s.taken_out)


def _land_or_test(facts: Facts, waiting: list[StreamFacts]) -> Iterator[TrainStep]:
    suspects = [s for s in waiting if s.solo is Standing.FAILED]
    blocked = [s for s in waiting if s.solo is Standing.BLOCKED]
    for s in blocked:
        if s.compared is Comparison.BLAME:
            yield Reject(s.record.stream, s.tip, s.solo_tree)
        else:
            yield from note([s], s.solo_reason or "a gate could not be run on it merged with the integration branch")
    steps: list[TrainStep] = []
    if facts.train is not None and facts.train.cars:
        steps += _next_move(facts, facts.train, suspects, waiting)
    elif suspects:
        steps += _judge_suspects(facts, suspects)
    proposals = [step for s in waiting if s.proposes for step in _propose(facts, s)]
    yield from _in_turn(facts, steps, proposals, [] if facts.untrusted else _comparisons(facts, blocked))


def _comparisons(facts: Facts, blocked: Iterable[StreamFacts]) -> list[TrainStep]:
    """Return what shows whether streams are to blame that a gate could not be run on."""
    tests: list[TrainStep] = []
    for s in blocked:
        if s.compared is Comparison.RUN_BASE:
            tests.append(replace(tip_test(facts), again=True))
        elif s.compared is Comparison.RUN_AGAIN and s.alone is not None:
            tests.append(car_test(Train(facts.tip, (s.alone,)), s.alone, ""))
    return list(dict.fromkeys(tests))


def _in_turn(
    facts: Facts, train: list[TrainStep], proposals: list[TrainStep], comparisons: list[TrainStep]
) -> Iterator[TrainStep]:
    """What lands moves the tip that a proposal is tested on: both are not tested at once, but who waits longest first."""
    records = {s.record.stream: s.record for s in facts.streams}
    (train_tests, train_others), (proposal_tests, proposal_others) = _tests_apart(train), _tests_apart(proposals)
    yield from train_others
    yield from proposal_others
    if any(isinstance(step, Land) for step in train):
        yield from train_tests
        return
    if not (train_tests or proposal_tests):
        yield from comparisons
        return

    def rank(tests: list[Test]) -> tuple[bool, str]:
        since = [r.ended_at or r.created_at for test in tests for car in test.cars if (r := records[car.stream])]
        return all(test.tree not in facts.running for test in tests), min(since, default="")

    yield from min((tests for tests in (train_tests, proposal_tests) if tests), key=rank, default=[])


def _next_move(
    facts: Facts, train: Train, suspects: list[StreamFacts], waiting: list[StreamFacts]
) -> Iterator[TrainStep]:
    by_stream = {s.record.stream: s for s in waiting}
    cars = [by_stream[car.stream] for car in train.cars if car.stream in by_stream]
    rests = {index: rest.standing for index, rest in facts.rests.items()}
    if facts.base is Standing.PASSED:
        yield from _reject(suspects)
        suspects = []
    guilty = [] if facts.base is Standing.FAILED else suspects  # failing alone on what is red says nothing of them
    move = search.next_move(facts.standings, facts.base, suspected=bool(suspects), slots=facts.slots, rests=rests)
    match move:
        case search.LandUpTo(index):
            yield from _reject(guilty)  # what passes without them shows that they are to blame
            yield from _land(facts, Train(train.base, train.cars[: index + 1]), cars, by_stream)
        case search.LandWithout(index):
            culprit, stuck = train.cars[index], train.cars[max(rests)]
            yield Reject(culprit.stream, stuck.commit, stuck.tree)
            yield from _reject(guilty)
            others = [s for s in cars if s.record.stream != culprit.stream]
            yield from _land(facts, facts.rests[index].train, others, by_stream)
        case search.RunTests() | search.Compare() if facts.untrusted:
            yield from note(cars, facts.untrusted)
        case search.RunTests(index) if index == search.BASE:
            yield tip_test(facts)
        case search.RunTests(index):
            passed = _waiting(facts, train, by_stream)
            if 0 < passed <= index:
                yield from _land(facts, Train(train.base, train.cars[:passed]), cars[:passed], by_stream)
            yield car_test(train, train.cars[index], "train", passed)
        case search.Compare(indexes):
            for index in indexes:
                rest = facts.rests[index].train
                yield car_test(rest, rest.cars[-1], f"rest/{train.cars[index].stream}")
        case search.Blame(index, proved) if proved:
            car = train.cars[index]
            yield Reject(car.stream, car.commit, car.tree)
        case search.PreExisting():
            yield from note([*cars, *suspects], _pre_existing(facts))
        case search.Blocked(index):
            whose = f"{train.cars[index].stream}'s merge"
            yield from note(cars, f"a gate could not be run on {whose}: see test-results.json")


def _waiting(facts: Facts, train: Train, by_stream: Mapping[str, StreamFacts]) -> int:
    """Return how many cars have passed, and wait for nothing but to land. What is behind them is tested meanwhile."""
    ahead = [index + 1 for index, standing in enumerate(facts.standings) if standing is Standing.PASSED]
    most = max(ahead, default=0)
    rest = all(
        car.stream in by_stream and by_stream[car.stream].record.status is not Status.TESTING
        for car in train.cars[:most]
    )
    return most if rest else 0


def _land(
    facts: Facts, train: Train, cars: list[StreamFacts], by_stream: Mapping[str, StreamFacts]
) -> Iterator[LetPass | Land | Note]:
    """Let all cars of a train whose last tree passed pass, and land them; ``cars`` are told where they wait for a person."""
    last = train.cars[-1]
    for car in train.cars:
        if by_stream[car.stream].record.status in {Status.READY, Status.TESTING}:
            yield LetPass(car.stream, car.commit, last.tree)
    if facts.merge_auto or all(by_stream[car.stream].wanted for car in train.cars):
        yield Land(last.commit, last.tree, train.base, train.cars)
    else:
        yield from note(cars, f"{BY_HAND}: it waits for a person to land it")


def _propose(facts: Facts, s: StreamFacts) -> Iterator[TrainStep]:
    """A stream that lands by a pull request is tested alone on the integration branch's tip, as its merge will be."""
    match s.solo:
        case Standing.UNKNOWN if facts.untrusted:
            yield from note([s], facts.untrusted)
        case Standing.UNKNOWN if s.alone is not None:
            yield car_test(Train(facts.tip, (s.alone,)), s.alone, "")
        case Standing.PASSED:
            if s.record.status in {Status.READY, Status.TESTING}:
                yield LetPass(s.record.stream, s.tip, s.solo_tree)
            if not facts.merge_auto and not s.wanted:
                yield from note([s], f"{BY_HAND}: it waits for a person to propose it")
            elif s.record.not_before <= facts.now:
                yield Propose(s.record.stream, s.tip)


def _judge_suspects(facts: Facts, suspects: list[StreamFacts]) -> Iterator[Reject | Test | Note]:
    match facts.base:
        case Standing.PASSED:
            yield from _reject(suspects)
        case Standing.UNKNOWN if facts.untrusted:
            yield from note(suspects, facts.untrusted)
        case Standing.UNKNOWN:
            yield tip_test(facts)
        case Standing.FAILED:
            yield from note(suspects, _pre_existing(facts))
        case Standing.BLOCKED:
            why = facts.base_reason or "see test-results.json"
            yield from note(suspects, f"the gate could not be run on the integration branch: {why}")


def _pre_existing(facts: Facts) -> str:
    return f"{PRE_EXISTING} ({facts.base_reason})" if facts.base_reason else PRE_EXISTING


def _reject(suspects: Iterable[StreamFacts]) -> Iterator[Reject]:
    for s in suspects:
        yield Reject(s.record.stream, s.tip, s.solo_tree)
