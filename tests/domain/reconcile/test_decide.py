"""The decisions of reconcile, by properties over whole worlds and by a table of single cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import ceil, log2
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loki_hooks.domain.gates.results import Standing
from loki_hooks.domain.reconcile.decide import decide
from loki_hooks.domain.reconcile.facts import Facts, Found, Join, StreamFacts
from loki_hooks.domain.reconcile.follow import Follow
from loki_hooks.domain.reconcile.gates import Cancel, Test
from loki_hooks.domain.reconcile.landing import Forward, Land, Propose, PushTip
from loki_hooks.domain.reconcile.removal import Clean
from loki_hooks.domain.reconcile.sessions import Fail, Start
from loki_hooks.domain.reconcile.steps import Step
from loki_hooks.domain.reconcile.streams import Adopt, Moved, Note, Prepare, Ready, Seen, SeenMerged, Unseen, Vanished
from loki_hooks.domain.reconcile.train import Conflict, LetPass, Reject
from loki_hooks.domain.streams import failures
from loki_hooks.domain.streams.failures import DELAYS, Failure, delay_after
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import ENDED, IN_SESSION, IN_TRAIN, LIVING, STANDING, Status, legal
from loki_hooks.domain.train.search import Car, Train, Without, to_compare

FACTS = Facts(tip="main", processed="main")
OTHERS = sorted(set(Status) - STANDING)


def record(name: str, status: Status, **more: Any) -> StreamRecord:
    return replace(
        StreamRecord("feature", name, status, f"/w/{name}", f"feature/{name}", base="base", tip=f"tip-{name}"), **more
    )


def stream(name: str, status: Status, **more: Any) -> StreamFacts:
    changes = {key: more.pop(key) for key in list(more) if key in StreamRecord.__dataclass_fields__ and key != "tip"}
    return replace(StreamFacts(record(name, status, **changes), tip=f"tip-{name}"), **more)


def verbs(steps: tuple[Step, ...]) -> list[tuple[type[Step], str]]:
    return [(type(step), step.stream) for step in steps]


# One case each -------------------------------------------------------------------------------------------


def of(s: StreamFacts, **facts: Any) -> list[type[Step]]:
    return [type(step) for step in decide(replace(FACTS, streams=(s,), cap=3, **facts))]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (stream("a", Status.PLANNED), [Prepare]),
        (stream("a", Status.PLANNED, claim_alive=True), []),
        (stream("a", Status.PREPARING), [Fail]),
        (stream("a", Status.RUNNING), [Fail]),
        (stream("a", Status.RUNNING, session_alive=True), []),
        (stream("a", Status.RUNNING, tip="", worktree=False), [Vanished]),
        (stream("a", Status.RUNNING, tip="", worktree=False, session_alive=True), []),
        (stream("a", Status.RUNNING, tip="", worktree=False, safe=True), [Fail]),
        (stream("a", Status.OPEN, tip="", worktree=False, safe=True), []),
        (stream("a", Status.OPEN, tip="", worktree=True), []),
        (stream("a", Status.RUNNING, tip="", worktree=False, away="unplugged"), [Fail]),
        (stream("a", Status.OPEN, tip="", worktree=False, away="unplugged"), []),
        (stream("a", Status.QUEUED, worktree=False, away="unplugged"), [Note]),
        (stream("a", Status.OPEN, worktree=False, moved="/there"), [Moved]),
        (stream("a", Status.QUEUED), [Start]),
        (stream("a", Status.QUEUED, claim_alive=True), []),
        (stream("a", Status.QUEUED, merged=True), [SeenMerged]),
        (stream("a", Status.OPEN), []),
        (stream("a", Status.OPEN, signalled=True), [Ready]),
        (stream("a", Status.OPEN, signalled=True, tip="base"), []),
        (stream("a", Status.RUNNING, signalled=True, session_alive=True), []),
        (stream("a", Status.FAILED, signalled=True), []),
        (stream("a", Status.FAILED, signalled=True, tip="new"), [Ready]),
        (stream("a", Status.CONFLICTED), []),
        (stream("a", Status.CONFLICTED, tip="new"), [Ready]),
        (stream("a", Status.TESTING, tip="new"), [Ready]),
        (stream("a", Status.READY, conflicts=("f",)), [Conflict]),
        (stream("a", Status.MERGING, merged=True), [SeenMerged]),
        (stream("a", Status.REJECTED, merged=True), [SeenMerged]),
        (stream("a", Status.RUNNING, merged=True, session_alive=True), []),
        (stream("a", Status.MERGED), [Clean]),
        (stream("a", Status.MERGED, origin="adopted"), []),
        (stream("a", Status.KEPT, merged=True, tip="", worktree=False), []),
    ],
)
def test_what_is_right_for_one_stream(facts: StreamFacts, expected: list[type[Step]]) -> None:
    assert of(facts) == expected


def test_a_found_worktree_is_adopted() -> None:
    found = Found("/w/x", "feature/x", "feature", "x", "head")
    assert decide(replace(FACTS, found=(found,))) == (Adopt(found),)


def test_a_moved_tip_is_followed_pushed_and_forwarded() -> None:
    assert [type(s) for s in decide(replace(FACTS, processed="old"))] == [Follow]
    assert [type(s) for s in decide(replace(FACTS, ahead=True))] == []
    assert [type(s) for s in decide(replace(FACTS, ahead=True, merge_push=True))] == [PushTip]
    assert [type(s) for s in decide(replace(FACTS, ahead=True, behind=True, diverged=True, merge_push=True))] == []
    assert [type(s) for s in decide(replace(FACTS, behind=True))] == [Forward]


def train_of(*names: str) -> Train:
    return Train("main", tuple(Car(f"feature-{n}", f"tip-{n}", f"commit-{n}", f"tree-{n}") for n in names))


@pytest.mark.parametrize("gates", [True, False])
@pytest.mark.parametrize("base", list(Standing))
@pytest.mark.parametrize("untrusted", ["", "no word"])
def test_only_what_passed_is_pushed_and_what_is_not_known_is_tested(
    gates: bool, base: Standing, untrusted: str
) -> None:
    facts = replace(FACTS, ahead=True, merge_push=True, gates=gates, base=base, tip_tree="tree", untrusted=untrusted)
    steps = decide(facts)
    (push,) = [step for step in steps if isinstance(step, PushTip)]
    assert (push.held == "") == (gates and base is Standing.PASSED)
    tested = any(isinstance(step, Test) for step in steps)
    assert tested == (gates and base is Standing.UNKNOWN and not untrusted)
    under_way = {type(step) for step in decide(replace(facts, running=frozenset({"tree"})))}
    assert (Cancel in under_way) == (not tested)


@pytest.mark.parametrize("standing", list(Standing))
def test_two_that_diverged_go_on_as_what_passed_merged(standing: Standing) -> None:
    facts = replace(
        FACTS, streams=(stream("a", Status.READY),), ahead=True, behind=True, diverged=True, merge_push=True
    )
    decided = decide(replace(facts, join=Join("both", "tree", standing=standing)))
    steps = {type(s) for s in decided}
    assert (Forward in steps) == (standing is Standing.PASSED)
    assert (Test in steps) == (standing is Standing.UNKNOWN)
    assert ["diverged" in s.reason for s in decided if isinstance(s, Note)] == [True]
    assert {Land, PushTip, Reject}.isdisjoint(steps)
    assert [type(s) for s in decide(replace(facts, join=Join(problem="they conflict")))] == [Note]


@pytest.mark.parametrize("status", sorted(IN_TRAIN))
def test_what_would_bring_back_what_was_taken_out_waits_and_others_do_not(status: Status) -> None:
    held = stream("a", status, taken_out="taken out")
    facts = replace(FACTS, streams=(held, stream("b", Status.READY)), train=train_of("b"), standings=(Standing.PASSED,))
    steps = decide(facts)
    assert [type(s) for s in steps if s.stream == "feature-a"] == [
        Ready if status in {Status.PASSED, Status.MERGING} else Note
    ]
    (land,) = [s for s in steps if isinstance(s, Land)]
    assert [car.stream for car in land.cars] == ["feature-b"]


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
        seen = {type(s) for s in decide(facts)}
        assert Test not in seen
        if trouble != {"untrusted": "no word"}:
            assert Land not in seen
            assert Note in seen


def test_without_the_users_word_nothing_starts() -> None:
    assert of(stream("a", Status.QUEUED), untrusted="no word") == [Note]


def test_merge_auto_off_waits_for_a_person() -> None:
    facts = replace(
        FACTS, streams=(stream("a", Status.READY),), train=train_of("a"), standings=(Standing.PASSED,), merge_auto=False
    )
    assert verbs(decide(facts)) == [(LetPass, "feature-a"), (Note, "feature-a")]


def test_those_who_wait_start_by_priority_then_age() -> None:
    waiting = (
        stream("old", Status.QUEUED, created_at="1"),
        stream("new", Status.QUEUED, created_at="2"),
        stream("urgent", Status.QUEUED, created_at="3", priority=5),
    )
    for cap, names in ((1, ["urgent"]), (2, ["urgent", "old"]), (3, ["urgent", "old", "new"])):
        started = [s.stream for s in decide(replace(FACTS, streams=waiting, cap=cap)) if isinstance(s, Start)]
        assert started == [f"feature-{n}" for n in names]


def test_after_holds_back_until_the_other_has_landed() -> None:
    for status in OTHERS:
        facts = replace(
            FACTS,
            cap=9,
            streams=(stream("a", status, session_alive=True), stream("b", Status.QUEUED, after=("feature-a",))),
        )
        started = (Start, "feature-b") in verbs(decide(facts))
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
    proposes=st.booleans(),
    alone=st.sampled_from([None, Car("feature-a", "tip-a", "c-alone", "t-alone")]),
    priority=st.integers(-2, 2),
    origin=st.sampled_from(["spawned", "adopted"]),
    after=st.lists(st.sampled_from(["feature-a", "feature-z"]), max_size=1).map(tuple),
)


@st.composite
def worlds(draw: st.DrawFn) -> Facts:
    found = draw(st.lists(streams, max_size=8, unique_by=lambda s: s.record.stream))
    able = [
        s
        for s in found
        if s.record.status in IN_TRAIN and s.tip == s.record.tip and not (s.merged or s.conflicts or s.proposes)
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
        running=frozenset(draw(st.sets(st.sampled_from(["t-a", "t-b", "old"])))),
        slots=draw(st.integers(1, 3)),
        cap=draw(st.integers(1, 4)),
        untrusted=draw(st.sampled_from(["", "no word"])),
        merge_auto=draw(st.booleans()),
        merge_push=draw(st.booleans()),
        cleanup_auto=draw(st.booleans()),
    )


AFTER = {
    Fail: Status.FAILED,
    SeenMerged: Status.MERGED,
    Ready: Status.READY,
    Conflict: Status.CONFLICTED,
}


@given(worlds())
@settings(max_examples=400)
def test_what_no_decision_may_ever_do(facts: Facts) -> None:
    steps = decide(facts)
    assert decide(facts) == steps
    assert len(set(steps)) == len(steps)
    by_stream = {s.record.stream: s for s in facts.streams}
    active = sum(1 for s in facts.streams if s.session_alive or s.claim_alive)
    starts = [s for s in steps if isinstance(s, Start)]
    assert not starts or active + len(starts) <= facts.cap
    lands = [s for s in steps if isinstance(s, Land)]
    assert len(lands) <= 1
    for land in lands:
        assert facts.train is not None
        assert facts.standings[len(land.cars) - 1] is Standing.PASSED
        assert land.commit == land.cars[-1].commit
        assert (facts.gates, facts.merge_auto, facts.behind, facts.diverged) == (True, True, False, False)
        assert all(by_stream[car.stream].tip == car.tip for car in land.cars)
    tests = {s.tree for s in steps if isinstance(s, Test)}
    ended = {s.tree for s in steps if isinstance(s, Cancel)}
    assert not (tests and facts.untrusted)
    assert tests.isdisjoint(facts.running)
    assert ended <= facts.running
    assert len(tests) <= facts.slots
    proposed = [s for s in steps if isinstance(s, Propose)]
    assert all(by_stream[s.stream].proposes and by_stream[s.stream].solo is Standing.PASSED for s in proposed)
    assert not proposed or facts.merge_auto
    for step in steps:
        s = by_stream.get(step.stream)
        if s is None:
            continue
        if s.session_alive:
            assert type(step) in {Clean, LetPass, Reject, Note, Conflict, Start, Prepare}
        if s.record.status in ENDED:
            assert isinstance(step, Clean)
            assert s.record.status is Status.MERGED
        if type(step) in AFTER and not isinstance(step, SeenMerged):
            old = Status.READY if s.record.status is Status.PASSED and isinstance(step, Conflict) else s.record.status
            assert legal(old, AFTER[type(step)]), (s.record.status, step)
        if isinstance(step, Clean):
            assert s.record.origin == "spawned"
        if isinstance(step, Fail):
            assert s.record.status in IN_SESSION
    ends = Counter(s.stream for s in steps if type(s) in {SeenMerged, Vanished, Start, Ready, Prepare})
    assert all(count == 1 for count in ends.values())


# Whole journeys ------------------------------------------------------------------------------------------


def text_of(tree: frozenset[str]) -> str:
    return ",".join(sorted(tree))


@dataclass
class World:
    """A repository in which a tree is the set of streams that are in it. Applies steps as ``actions/reconcile/apply.py`` does."""

    culprits: frozenset[str]
    blockers: frozenset[str]
    red: bool = False
    """The integration branch's own tests fail."""
    landed: tuple[str, ...] = ()
    status: dict[str, Status] = field(default_factory=dict)
    known: dict[frozenset[str], Standing] = field(default_factory=dict)
    runs: int = 0
    slots: int = 1
    running: list[frozenset[str]] = field(default_factory=list)
    choose: Callable[[int], int] = lambda _: 0

    def standing(self, tree: frozenset[str]) -> Standing:
        return self.known.get(tree, Standing.UNKNOWN)

    def facts(self, batch: int) -> Facts:
        base = frozenset(self.landed)
        found = []
        for name, status in self.status.items():
            tree = base | {name}
            found.append(stream(name, status, solo=self.standing(tree), solo_tree=text_of(tree)))
        able = [s for s in found if s.record.status in IN_TRAIN and s.solo not in {Standing.FAILED, Standing.BLOCKED}]
        train, trees = self.train([s.record.name for s in able[:batch]])
        standings = tuple(self.standing(t) for t in trees)
        rests = {}
        for index in to_compare(standings, self.standing(base), self.slots):
            left = [car.stream.removeprefix("feature-") for i, car in enumerate(train.cars) if i != index]
            rest, last = self.train(left)
            rests[index] = Without(rest, self.standing(last[-1]))
        return replace(
            FACTS,
            tip="main",
            streams=tuple(found),
            train=train if train.cars else None,
            standings=standings,
            base=self.standing(base),
            rests=rests,
            tip_tree=text_of(base),
            running=frozenset(map(text_of, self.running)),
            slots=self.slots,
        )

    def train(self, names: list[str]) -> tuple[Train, list[frozenset[str]]]:
        trees = [frozenset(self.landed) | set(names[: i + 1]) for i in range(len(names))]
        cars = [Car(f"feature-{n}", f"tip-{n}", "", text_of(t)) for n, t in zip(names, trees, strict=True)]
        return Train("main", tuple(cars)), trees

    def end_one(self) -> None:
        """The run that ``choose`` picks ends, with a result."""
        tree = self.running.pop(self.choose(len(self.running)))
        blocked, failed = tree & self.blockers, self.red or tree & self.culprits
        self.known[tree] = Standing.BLOCKED if blocked else Standing.FAILED if failed else Standing.PASSED

    def take(self, step: Step) -> None:
        name = step.stream.removeprefix("feature-")
        if isinstance(step, Test):
            tree = frozenset(filter(None, step.tree.split(",")))
            assert self.standing(tree) is Standing.UNKNOWN, "nothing is tested twice"
            assert tree not in self.running
            self.runs += 1
            self.running.append(tree)
            assert len(self.running) <= self.slots
            for car in step.cars:
                self.status[car.stream.removeprefix("feature-")] = Status.TESTING
        elif isinstance(step, Cancel):
            self.running.remove(frozenset(filter(None, step.tree.split(","))))
        elif isinstance(step, LetPass):
            self.status[name] = Status.PASSED
        elif isinstance(step, Reject):
            self.status[name] = Status.REJECTED
        elif isinstance(step, Note) and self.status[name] is Status.TESTING:
            self.status[name] = Status.READY
        elif isinstance(step, Land):
            names = [car.stream.removeprefix("feature-") for car in step.cars]
            assert self.known[frozenset(self.landed) | set(names)] is Standing.PASSED
            self.landed += tuple(names)
            for landed in names:
                del self.status[landed]

    def settle(self, batch: int) -> None:
        for _ in range(300):
            steps = [s for s in decide(self.facts(batch)) if type(s) in {Test, Cancel, LetPass, Reject, Land, Note}]
            steps = [
                s
                for s in steps
                if not isinstance(s, Note) or self.status[s.stream.removeprefix("feature-")] is Status.TESTING
            ]
            for step in steps:
                self.take(step)
            if not steps and not self.running:
                return
            if not steps:
                self.end_one()
        pytest.fail("it does not end")


names = st.sets(st.sampled_from("abcdefgh"))


def world(
    data: st.DataObject, who: set[str], culprits: AbstractSet[str], blockers: AbstractSet[str] = frozenset()
) -> World:
    return World(
        frozenset(culprits),
        frozenset(blockers),
        status=dict.fromkeys(sorted(who), Status.READY),
        slots=data.draw(st.integers(1, 4)),
        choose=lambda count: data.draw(st.integers(0, count - 1)),
    )


@given(names, st.data(), st.integers(1, 8))
@settings(max_examples=300)
def test_the_good_land_the_culprits_are_rejected_and_it_is_cheap(
    who: set[str], data: st.DataObject, batch: int
) -> None:
    culprits = frozenset(data.draw(st.sets(st.sampled_from(sorted(who))) if who else st.just(set())))
    made = world(data, who, culprits)
    made.settle(batch)
    assert set(made.landed) == who - culprits
    assert made.status == dict.fromkeys(sorted(culprits), Status.REJECTED)
    trains = ceil(max(len(who), 1) / batch)
    assert made.runs <= trains + 1 + len(culprits) * (2 + ceil(log2(batch)))


@given(names, st.data(), st.integers(1, 8))
@settings(max_examples=300)
def test_what_cannot_be_tested_waits_alone(who: set[str], data: st.DataObject, batch: int) -> None:
    some = st.sets(st.sampled_from(sorted(who))) if who else st.just(set())
    blockers = frozenset(data.draw(some))
    culprits = frozenset(data.draw(some)) - blockers
    made = world(data, who, culprits, blockers)
    made.settle(batch)
    assert set(made.landed) <= who - culprits - blockers
    rejected = {name for name, status in made.status.items() if status is Status.REJECTED}
    assert rejected <= culprits, "nobody is blamed who is innocent"
    if not culprits:
        assert set(made.landed) == who - blockers
    assert all(made.status[name] is Status.READY for name in blockers)


@given(names, names, st.data())
def test_a_red_integration_branch_blames_and_lands_nobody_and_that_is_soon_known(
    who: set[str], culprits: set[str], data: st.DataObject
) -> None:
    made = world(data, who, culprits & who)
    made.red = True
    made.settle(8)
    assert made.landed == ()
    assert set(made.status.values()) <= {Status.READY}
    assert made.runs <= (3 + ceil(log2(len(who))) if who else 0)
    before = made.runs
    made.settle(8)
    assert made.runs == before, "nothing changed"


@pytest.mark.parametrize("slots", [1, 2, 3])
@pytest.mark.parametrize("last_first", [False, True])
def test_eight_streams_with_every_one_and_every_two_culprits_cost_what_is_promised(
    slots: int, last_first: bool
) -> None:
    for culprits in [*combinations("abcdefgh", 1), *combinations("abcdefgh", 2)]:
        made = World(frozenset(culprits), frozenset(), status=dict.fromkeys("abcdefgh", Status.READY), slots=slots)
        made.choose = lambda count: count - 1 if last_first else 0
        made.settle(8)
        assert set(made.landed) == set("abcdefgh") - set(culprits)
        assert made.runs <= (5 if len(culprits) == 1 else 10), culprits


def test_a_stream_that_lands_by_a_pull_request_is_tested_alone_and_proposed_when_that_is_wanted() -> None:
    car = Car("feature-a", "tip-a", "c", "t")
    asked = stream("a", Status.READY, proposes=True, solo=Standing.UNKNOWN, alone=car, solo_tree="t")
    assert decide(replace(FACTS, streams=(asked,))) == (Test("c", "t", (car,), pin=""),)
    passed = replace(asked, solo=Standing.PASSED, alone=None)
    assert of(passed) == [LetPass, Propose]
    assert of(passed, merge_auto=False) == [LetPass, Note]
    assert of(replace(passed, record=replace(passed.record, wanted="tip-a")), merge_auto=False) == [
        LetPass,
        Propose,
    ]
    later = replace(passed, record=replace(passed.record, status=Status.PASSED, not_before="2"))
    assert of(later, now="1") == []
    assert of(later, now="2") == [Propose]
    assert of(replace(asked, solo=Standing.FAILED), base=Standing.PASSED) == [Reject]


def test_what_no_decision_depends_on_any_more_is_ended() -> None:
    facts = replace(FACTS, streams=(stream("a", Status.TESTING),), train=train_of("a"), standings=(Standing.UNKNOWN,))
    assert verbs(decide(replace(facts, running=frozenset({"tree-a"})))) == []
    moved = decide(replace(facts, running=frozenset({"before"})))
    assert moved[0] == Cancel("before")
    assert [s.tree for s in moved[1:] if isinstance(s, Test)] == ["tree-a"]
    assert len(moved) == 2
    assert [type(s) for s in decide(replace(FACTS, running=frozenset({"before"})))] == [Cancel]


def test_every_living_status_is_met_by_some_decision_or_waits_for_a_person() -> None:
    """No status is a dead end by oversight."""
    waits = {Status.PROPOSED}
    for status in sorted(LIVING - waits):
        seen = set()
        several: tuple[dict[str, Any], ...] = ({}, {"signalled": True, "tip": "new"}, {"tip": "new"}, {"merged": True})
        for more in several:
            seen |= set(of(stream("a", status, **more)))
        assert seen, status


# What fails costs its own stream ------------------------------------------------------------------------------


@given(st.sampled_from(OTHERS), st.booleans(), st.booleans(), st.sampled_from(["", "tip-a", "new"]))
def test_a_stream_that_cannot_be_looked_at_is_left_alone(
    status: Status, worktree: bool, merged: bool, tip: str
) -> None:
    """It is said once; whatever else is believed of it, it is not taken for vanished, dead, merged or clean."""
    a = stream("a", status, worktree=worktree, merged=merged, tip=tip, unseen="too long")
    facts = replace(FACTS, streams=(a, stream("b", Status.QUEUED)), cap=3)
    assert [type(step) for step in decide(facts) if step.stream == a.record.stream] == [Unseen]
    told = replace(a, record=replace(a.record, failures={"look": Failure(1, "", "too long")}))
    steps = decide(replace(facts, streams=(told, stream("b", Status.QUEUED))))
    assert verbs(steps) == [(Start, "feature-b")]
    again = replace(told, unseen="", record=replace(told.record, status=Status.KEPT), put_off=frozenset({"look"}))
    assert verbs(decide(replace(FACTS, streams=(again,)))) == [(Seen, "feature-a")]


def test_a_look_that_fails_otherwise_each_time_is_said_when_it_is_time_to_try_again() -> None:
    failures = {"look": Failure(1, "", "Is a directory: 12")}
    a = stream("a", Status.OPEN, unseen="Is a directory: 13", put_off=frozenset({"look"}))
    a = replace(a, record=replace(a.record, failures=failures))
    assert decide(replace(FACTS, streams=(a,))) == ()
    due = decide(replace(FACTS, streams=(replace(a, put_off=frozenset()),)))
    assert verbs(due) == [(Unseen, "feature-a")]


def test_what_failed_is_put_off_and_gives_its_place_to_the_next() -> None:
    a = stream("a", Status.QUEUED, priority=9, put_off=frozenset({"start"}))
    steps = decide(replace(FACTS, streams=(a, stream("b", Status.QUEUED)), cap=1))
    assert verbs(steps) == [(Start, "feature-b")]
    clean = stream("c", Status.MERGED, put_off=frozenset({"clean"}))
    assert decide(replace(FACTS, streams=(clean,))) == ()
    assert decide(replace(FACTS, processed="old", put_off=frozenset({"follow main"}))) == ()
    ready = stream("d", Status.READY, put_off=frozenset({"pass"}))
    assert not ready.in_train


@given(st.integers(-5, 100))
def test_what_fails_is_tried_ever_more_seldom(times: int) -> None:
    assert 0 < delay_after(times) <= delay_after(times + 1) <= DELAYS[-1]


def test_failures_are_read_tolerantly() -> None:
    good = {"start": {"times": 2, "not_before": "2026-01-01T00:00:00Z", "reason": "why"}}
    bad = {"x": 1, "y": {"times": 0, "not_before": "", "reason": ""}, "z": {"times": True}}
    assert failures.from_json({**good, **bad}) == {"start": Failure(2, "2026-01-01T00:00:00Z", "why")}
    assert failures.to_json(failures.from_json(good)) == good
    assert failures.from_json([good]) == {}
    assert len(failures.in_words(OSError(36, "File name too long", "x" * 5000))) < 400
