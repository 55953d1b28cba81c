"""The decisions of reconcile, by properties over whole worlds and by a table of single cases."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from math import ceil, log2
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loki_hooks.domain.gates import Standing
from loki_hooks.domain.reconcile import Facts, Found, Step, StreamFacts, Verb, decide
from loki_hooks.domain.status import ENDED, IN_SESSION, IN_TRAIN, LIVING, STANDING, Status, legal
from loki_hooks.domain.streams import StreamRecord
from loki_hooks.domain.train import Car, Train

FACTS = Facts(tip="main", processed="main")
OTHERS = sorted(set(Status) - STANDING)


def record(name: str, status: Status, **more: Any) -> StreamRecord:
    return replace(
        StreamRecord("feature", name, status, f"/w/{name}", f"feature/{name}", base="base", tip=f"tip-{name}"), **more
    )


def stream(name: str, status: Status, **more: Any) -> StreamFacts:
    changes = {key: more.pop(key) for key in list(more) if key in StreamRecord.__dataclass_fields__ and key != "tip"}
    return replace(StreamFacts(record(name, status, **changes), tip=f"tip-{name}"), **more)


def verbs(steps: tuple[Step, ...]) -> list[tuple[Verb, str]]:
    return [(step.verb, step.stream) for step in steps]


# One case each -------------------------------------------------------------------------------------------


def of(s: StreamFacts, **facts: Any) -> list[Verb]:
    return [step.verb for step in decide(replace(FACTS, streams=(s,), cap=3, **facts))]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (stream("a", Status.PLANNED), [Verb.PREPARE]),
        (stream("a", Status.PLANNED, claim_alive=True), []),
        (stream("a", Status.PREPARING), [Verb.FAIL]),
        (stream("a", Status.RUNNING), [Verb.FAIL]),
        (stream("a", Status.RUNNING, session_alive=True), []),
        (stream("a", Status.RUNNING, tip="", worktree=False), [Verb.VANISHED]),
        (stream("a", Status.RUNNING, tip="", worktree=False, session_alive=True), []),
        (stream("a", Status.OPEN, tip="", worktree=True), []),
        (stream("a", Status.QUEUED), [Verb.START]),
        (stream("a", Status.QUEUED, claim_alive=True), []),
        (stream("a", Status.QUEUED, merged=True), [Verb.SEEN_MERGED]),
        (stream("a", Status.OPEN), []),
        (stream("a", Status.OPEN, signalled=True), [Verb.READY]),
        (stream("a", Status.OPEN, signalled=True, tip="base"), []),
        (stream("a", Status.RUNNING, signalled=True, session_alive=True), []),
        (stream("a", Status.FAILED, signalled=True), []),
        (stream("a", Status.FAILED, signalled=True, tip="new"), [Verb.READY]),
        (stream("a", Status.CONFLICTED), []),
        (stream("a", Status.CONFLICTED, tip="new"), [Verb.READY]),
        (stream("a", Status.TESTING, tip="new"), [Verb.READY]),
        (stream("a", Status.READY, conflicts=("f",)), [Verb.CONFLICT]),
        (stream("a", Status.MERGING, merged=True), [Verb.SEEN_MERGED]),
        (stream("a", Status.REJECTED, merged=True), [Verb.SEEN_MERGED]),
        (stream("a", Status.RUNNING, merged=True, session_alive=True), []),
        (stream("a", Status.MERGED), [Verb.CLEAN]),
        (stream("a", Status.MERGED, origin="adopted"), []),
        (stream("a", Status.KEPT, merged=True, tip="", worktree=False), []),
    ],
)
def test_what_is_right_for_one_stream(facts: StreamFacts, expected: list[Verb]) -> None:
    assert of(facts) == expected


def test_a_found_worktree_is_adopted() -> None:
    (step,) = decide(replace(FACTS, found=(Found("/w/x", "feature/x", "feature", "x", "head"),)))
    assert (step.verb, step.path, step.branch, step.name) == (Verb.ADOPT, "/w/x", "feature/x", "x")


def test_a_moved_tip_is_followed_pushed_and_forwarded() -> None:
    assert [s.verb for s in decide(replace(FACTS, processed="old"))] == [Verb.FOLLOW]
    assert [s.verb for s in decide(replace(FACTS, ahead=True))] == []
    assert [s.verb for s in decide(replace(FACTS, ahead=True, merge_push=True))] == [Verb.PUSH]
    assert [s.verb for s in decide(replace(FACTS, ahead=True, behind=True, diverged=True, merge_push=True))] == []
    assert [s.verb for s in decide(replace(FACTS, behind=True))] == [Verb.FORWARD]


def train_of(*names: str) -> Train:
    return Train("main", tuple(Car(f"feature-{n}", f"tip-{n}", f"commit-{n}", f"tree-{n}") for n in names))


@pytest.mark.parametrize(
    "trouble",
    [
        {"behind": True},
        {"behind": True, "ahead": True, "diverged": True},
        {"gates": False},
        {"untrusted": "no word"},
        {"train_problem": "no identity"},
    ],
)
def test_nothing_is_tested_or_landed_while_something_is_wrong(trouble: dict[str, Any]) -> None:
    for standing in Standing:
        facts = replace(
            FACTS, streams=(stream("a", Status.READY),), train=train_of("a"), standings=(standing,), **trouble
        )
        seen = {s.verb for s in decide(facts)}
        assert Verb.TEST not in seen
        if trouble != {"untrusted": "no word"}:
            assert Verb.LAND not in seen
            assert Verb.NOTE in seen


def test_without_the_users_word_nothing_starts() -> None:
    assert of(stream("a", Status.QUEUED), untrusted="no word") == [Verb.NOTE]


def test_merge_auto_off_waits_for_a_person() -> None:
    facts = replace(
        FACTS, streams=(stream("a", Status.READY),), train=train_of("a"), standings=(Standing.PASSED,), merge_auto=False
    )
    assert verbs(decide(facts)) == [(Verb.PASS, "feature-a"), (Verb.NOTE, "feature-a")]


def test_those_who_wait_start_by_priority_then_age() -> None:
    waiting = (
        stream("old", Status.QUEUED, created_at="1"),
        stream("new", Status.QUEUED, created_at="2"),
        stream("urgent", Status.QUEUED, created_at="3", priority=5),
    )
    for cap, names in ((1, ["urgent"]), (2, ["urgent", "old"]), (3, ["urgent", "old", "new"])):
        started = [s.stream for s in decide(replace(FACTS, streams=waiting, cap=cap)) if s.verb is Verb.START]
        assert started == [f"feature-{n}" for n in names]


def test_after_holds_back_until_the_other_has_landed() -> None:
    for status in OTHERS:
        facts = replace(
            FACTS,
            cap=9,
            streams=(stream("a", status, session_alive=True), stream("b", Status.QUEUED, after=("feature-a",))),
        )
        started = (Verb.START, "feature-b") in verbs(decide(facts))
        assert started == (status in {Status.MERGED, Status.ARCHIVED}), status


# Properties of one decision ------------------------------------------------------------------------------

streams = st.builds(
    stream,
    st.sampled_from("abcdefgh"),
    st.sampled_from(OTHERS),
    tip=st.sampled_from(["", "base", "new", "tip-a", "tip-b"]),
    worktree=st.booleans(),
    session_alive=st.booleans(),
    claim_alive=st.booleans(),
    signalled=st.booleans(),
    merged=st.booleans(),
    solo=st.sampled_from([None, *Standing]),
    conflicts=st.sampled_from([(), ("f",)]),
    priority=st.integers(-2, 2),
    origin=st.sampled_from(["spawned", "adopted"]),
    after=st.lists(st.sampled_from(["feature-a", "feature-z"]), max_size=1).map(tuple),
)


@st.composite
def worlds(draw: st.DrawFn) -> Facts:
    found = draw(st.lists(streams, max_size=8, unique_by=lambda s: s.record.stream))
    able = [
        s for s in found if s.record.status in IN_TRAIN and s.tip == s.record.tip and not s.merged and not s.conflicts
    ]
    cars = tuple(Car(s.record.stream, s.tip, f"c-{s.record.name}", f"t-{s.record.name}") for s in able)
    return Facts(
        tip=draw(st.sampled_from(["main", ""])),
        streams=tuple(found),
        processed=draw(st.sampled_from(["main", ""])),
        behind=draw(st.booleans()),
        diverged=draw(st.booleans()),
        ahead=draw(st.booleans()),
        train=Train("main", cars) if cars else None,
        standings=tuple(draw(st.lists(st.sampled_from(Standing), min_size=len(cars), max_size=len(cars)))),
        base=draw(st.sampled_from(Standing)),
        gates=draw(st.booleans()),
        gate_running=draw(st.booleans()),
        cap=draw(st.integers(1, 4)),
        untrusted=draw(st.sampled_from(["", "no word"])),
        merge_auto=draw(st.booleans()),
        merge_push=draw(st.booleans()),
        cleanup_auto=draw(st.booleans()),
    )


AFTER = {
    Verb.FAIL: Status.FAILED,
    Verb.SEEN_MERGED: Status.MERGED,
    Verb.READY: Status.READY,
    Verb.CONFLICT: Status.CONFLICTED,
}


@given(worlds())
@settings(max_examples=400)
def test_what_no_decision_may_ever_do(facts: Facts) -> None:
    steps = decide(facts)
    assert decide(facts) == steps
    assert len(set(steps)) == len(steps)
    by_stream = {s.record.stream: s for s in facts.streams}
    active = sum(1 for s in facts.streams if s.session_alive or s.claim_alive)
    starts = [s for s in steps if s.verb is Verb.START]
    assert not starts or active + len(starts) <= facts.cap
    lands = [s for s in steps if s.verb is Verb.LAND]
    assert len(lands) <= 1
    for step in lands:
        assert facts.train is not None
        assert facts.standings[len(step.cars) - 1] is Standing.PASSED
        assert step.commit == step.cars[-1].commit
        assert (facts.gates, facts.merge_auto, facts.behind, facts.diverged, facts.gate_running) == (
            True,
            True,
            False,
            False,
            False,
        )
        assert all(by_stream[car.stream].tip == car.tip for car in step.cars)
    if facts.gate_running or facts.untrusted:
        assert Verb.TEST not in {s.verb for s in steps}
    assert len([s for s in steps if s.verb is Verb.TEST]) <= 1
    for step in steps:
        s = by_stream.get(step.stream)
        if s is None:
            continue
        if s.session_alive:
            assert step.verb in {Verb.CLEAN, Verb.PASS, Verb.REJECT, Verb.NOTE, Verb.CONFLICT, Verb.START, Verb.PREPARE}
        if s.record.status in ENDED:
            assert step.verb is Verb.CLEAN
            assert s.record.status is Status.MERGED
        if step.verb in AFTER and step.verb is not Verb.SEEN_MERGED:
            old = Status.READY if s.record.status is Status.PASSED and step.verb is Verb.CONFLICT else s.record.status
            assert legal(old, AFTER[step.verb]), (s.record.status, step)
        if step.verb is Verb.CLEAN:
            assert s.record.origin == "spawned"
        if step.verb is Verb.FAIL:
            assert s.record.status in IN_SESSION
    ends = Counter(
        s.stream for s in steps if s.verb in {Verb.SEEN_MERGED, Verb.VANISHED, Verb.START, Verb.READY, Verb.PREPARE}
    )
    assert all(count == 1 for count in ends.values())


# Whole journeys ------------------------------------------------------------------------------------------


@dataclass
class World:
    """A repository in which a tree is the set of streams that are in it. Applies steps as ``actions/apply.py`` does."""

    culprits: frozenset[str]
    blockers: frozenset[str]
    red: bool = False
    """The integration branch's own tests fail."""
    landed: tuple[str, ...] = ()
    status: dict[str, Status] = field(default_factory=dict)
    known: dict[frozenset[str], Standing] = field(default_factory=dict)
    runs: int = 0

    def standing(self, tree: frozenset[str]) -> Standing:
        return self.known.get(tree, Standing.UNKNOWN)

    def facts(self, batch: int) -> Facts:
        base = frozenset(self.landed)
        found = []
        for name, status in self.status.items():
            tree = base | {name}
            found.append(stream(name, status, solo=self.standing(tree), solo_tree=",".join(sorted(tree))))
        able = [s for s in found if s.record.status in IN_TRAIN and s.solo not in {Standing.FAILED, Standing.BLOCKED}][
            :batch
        ]
        cars: list[Car] = []
        trees: list[frozenset[str]] = []
        for s in able:
            trees.append((trees[-1] if trees else base) | {s.record.name})
            cars.append(Car(s.record.stream, s.tip, "", ",".join(sorted(trees[-1]))))
        return replace(
            FACTS,
            tip="main",
            streams=tuple(found),
            train=Train("main", tuple(cars)) if cars else None,
            standings=tuple(self.standing(t) for t in trees),
            base=self.standing(base),
            tip_tree=",".join(sorted(base)),
        )

    def take(self, step: Step) -> None:
        name = step.stream.removeprefix("feature-")
        if step.verb is Verb.TEST:
            tree = frozenset(filter(None, step.tree.split(",")))
            assert self.standing(tree) is Standing.UNKNOWN, "nothing is tested twice"
            self.runs += 1
            blocked, failed = tree & self.blockers, self.red or tree & self.culprits
            self.known[tree] = Standing.BLOCKED if blocked else Standing.FAILED if failed else Standing.PASSED
            for car in step.cars:
                self.status[car.stream.removeprefix("feature-")] = Status.TESTING
        elif step.verb is Verb.PASS:
            self.status[name] = Status.PASSED
        elif step.verb is Verb.REJECT:
            self.status[name] = Status.REJECTED
        elif step.verb is Verb.NOTE and self.status[name] is Status.TESTING:
            self.status[name] = Status.READY
        elif step.verb is Verb.LAND:
            names = [car.stream.removeprefix("feature-") for car in step.cars]
            assert self.known[frozenset(self.landed) | set(names)] is Standing.PASSED
            self.landed += tuple(names)
            for landed in names:
                del self.status[landed]

    def settle(self, batch: int) -> None:
        for _ in range(300):
            steps = [
                s
                for s in decide(self.facts(batch))
                if s.verb in {Verb.TEST, Verb.PASS, Verb.REJECT, Verb.LAND, Verb.NOTE}
            ]
            steps = [
                s
                for s in steps
                if s.verb is not Verb.NOTE or self.status[s.stream.removeprefix("feature-")] is Status.TESTING
            ]
            if not steps:
                return
            for step in steps:
                self.take(step)
        pytest.fail("it does not end")


names = st.sets(st.sampled_from("abcdefgh"))


@given(names, st.data(), st.integers(1, 8))
@settings(max_examples=300)
def test_the_good_land_the_culprits_are_rejected_and_it_is_cheap(
    who: set[str], data: st.DataObject, batch: int
) -> None:
    culprits = frozenset(data.draw(st.sets(st.sampled_from(sorted(who))) if who else st.just(set())))
    world = World(culprits, frozenset(), status=dict.fromkeys(sorted(who), Status.READY))
    world.settle(batch)
    assert set(world.landed) == who - culprits
    assert world.status == dict.fromkeys(sorted(culprits), Status.REJECTED)
    trains = ceil(max(len(who), 1) / batch)
    assert world.runs <= trains + 1 + len(culprits) * (2 + ceil(log2(batch)))


@given(names, st.data(), st.integers(1, 8))
@settings(max_examples=300)
def test_what_cannot_be_tested_waits_alone(who: set[str], data: st.DataObject, batch: int) -> None:
    some = st.sets(st.sampled_from(sorted(who))) if who else st.just(set())
    blockers = frozenset(data.draw(some))
    culprits = frozenset(data.draw(some)) - blockers
    world = World(culprits, blockers, status=dict.fromkeys(sorted(who), Status.READY))
    world.settle(batch)
    assert set(world.landed) <= who - culprits - blockers
    rejected = {name for name, status in world.status.items() if status is Status.REJECTED}
    assert rejected <= culprits, "nobody is blamed who is innocent"
    if not culprits:
        assert set(world.landed) == who - blockers
    assert all(world.status[name] is Status.READY for name in blockers)


@given(names, names)
def test_a_red_integration_branch_blames_and_lands_nobody(who: set[str], culprits: set[str]) -> None:
    world = World(frozenset(culprits & who), frozenset(), red=True, status=dict.fromkeys(sorted(who), Status.READY))
    world.settle(8)
    assert world.landed == ()
    assert set(world.status.values()) <= {Status.READY}
    assert world.runs <= 3 + 3 * len(who)  # each may be the one that mends it


def test_every_living_status_is_met_by_some_decision_or_waits_for_a_person() -> None:
    """No status is a dead end by oversight."""
    waits = {Status.PROPOSED}
    for status in sorted(LIVING - waits):
        seen = set()
        several: tuple[dict[str, Any], ...] = ({}, {"signalled": True, "tip": "new"}, {"tip": "new"}, {"merged": True})
        for more in several:
            seen |= set(of(stream("a", status, **more)))
        assert seen, status
