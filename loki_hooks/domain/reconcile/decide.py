"""The decisions of reconcile: facts in, a tuple of small steps out. Pure; the heart of the program.

``decide`` looks at everything at once and names every step that is right *now*. Steps are idempotent and are
decided again from fresh facts until none is left, so being killed between any two of them loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from loki_hooks.domain.gates.results import Standing
from loki_hooks.domain.reconcile.facts import Facts, Join, StreamFacts
from loki_hooks.domain.reconcile.steps import Step, Verb
from loki_hooks.domain.streams.failures import LOOK
from loki_hooks.domain.streams.status import IN_SESSION, IN_TRAIN, LIVING, Status
from loki_hooks.domain.train import search
from loki_hooks.domain.train.search import Car, Train

PRE_EXISTING = "pre-existing: the same gate fails on the integration branch itself"
_MENDED = frozenset({Status.OPEN, Status.REJECTED, Status.FAILED, Status.STOPPED, Status.ESCALATED, Status.PROPOSED})


def decide(facts: Facts) -> tuple[Step, ...]:
    """Return the steps that are right now, in the order in which to take them.

    A stream that could not be looked at is left alone. What failed and is put off is not among them.
    """
    seen = replace(facts, streams=tuple(s for s in facts.streams if not s.unseen))
    steps = (
        *_looks(facts),
        *_register(seen),
        *_sessions(seen),
        *_integration(seen),
        *_ready(seen),
        *_train(seen),
        *_after_landing(seen),
        *_writers(facts),
        *_start(facts),
    )
    of_stream = {s.record.stream: s.put_off for s in facts.streams}
    return tuple(s for s in steps if s.key not in of_stream.get(s.stream, facts.put_off))


def _looks(facts: Facts) -> Iterator[Step]:
    """Say once that a stream cannot be looked at, and once that it can again."""
    for s in facts.streams:
        before = s.record.failures.get(LOOK)
        if s.unseen and (before is None or before.reason != s.unseen):
            yield Step(Verb.UNSEEN, s.record.stream, s.unseen)
        elif before is not None and not s.unseen:
            yield Step(Verb.SEEN, s.record.stream)


def _register(facts: Facts) -> Iterator[Step]:
    for found in facts.found:
        yield Step(
            Verb.ADOPT, path=found.path, branch=found.branch, kind=found.kind, name=found.name, commit=found.head
        )
    for s in facts.streams:
        record = s.record
        if record.status is Status.PLANNED and not s.claim_alive:
            yield Step(Verb.PREPARE, record.stream)
        elif s.session_alive or s.claim_alive:
            continue
        elif s.moved:
            yield Step(Verb.MOVED, record.stream, f"its worktree is in {s.moved} now", path=s.moved)
        elif record.status in LIVING and not (s.tip or s.worktree or s.away or s.safe):
            yield Step(Verb.VANISHED, record.stream, "its branch and its worktree were removed")


def _sessions(facts: Facts) -> Iterator[Step]:
    for s in facts.streams:
        there = s.tip or s.worktree or s.away or s.safe
        if s.record.status in IN_SESSION and not s.session_alive and not s.claim_alive and there:
            yield Step(Verb.FAIL, s.record.stream, "its runner died (killed, or the machine went down)")


def _integration(facts: Facts) -> Iterator[Step]:
    if facts.behind and not facts.diverged:
        yield Step(Verb.FORWARD, commit=facts.upstream, old=facts.tip)
    match facts.join:
        case Join(problem="", standing=Standing.PASSED) as join:
            yield Step(Verb.FORWARD, commit=join.commit, old=facts.tip)
        case Join(problem="", standing=Standing.UNKNOWN) as join if (
            not facts.untrusted and join.tree not in facts.running
        ):
            yield Step(Verb.TEST, commit=join.commit, tree=join.tree)


def _diverged(facts: Facts) -> str:
    """Return how it is with an integration branch and an upstream that have diverged."""
    told = "the integration branch and its upstream have diverged"
    match facts.join:
        case None:
            return told
        case Join(problem="", standing=Standing.UNKNOWN):
            return f"{told}: {facts.untrusted or 'the two merged are being tested'}"
        case Join(problem="", standing=Standing.PASSED):
            return f"{told}: the integration branch waits to move on to the two merged"
        case Join(problem=""):
            return f"{told}: the gate does not pass on the two merged, see test-results.json"
        case Join(problem=problem):
            return f"{told}: {problem}"


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
        elif s.signalled and s.tip != record.base and status in (_MENDED if s.tip != record.tip else {Status.OPEN}):
            yield Step(Verb.READY, record.stream, "FEATURE_READY", commit=s.tip)


def _train(facts: Facts) -> Iterator[Step]:
    """Decide on the train, then start what must be tested as far as there is room, and end what no longer need be."""
    members = [s for s in facts.streams if s.in_train]
    able = [s for s in members if not s.conflicts]
    waiting = [s for s in able if not s.taken_out]
    for s in members if facts.tip else ():
        if s.conflicts:
            reason = f"conflicts in {', '.join(s.conflicts[:5])}"
            yield Step(Verb.CONFLICT, s.record.stream, reason, commit=facts.tip, paths=s.conflicts)
    trouble = _trouble(facts) if able and facts.tip else ""
    if trouble:
        yield from _note(able, trouble)
        return
    yield from _hold_back([s for s in able if s.taken_out])
    steps = list(_land_or_test(facts, waiting)) if waiting and facts.tip else []
    steps += _prove(facts, [step.tree for step in steps])
    wanted = [step for step in steps if step.verb is Verb.TEST]
    useful = {step.tree for step in wanted} | ({facts.join.tree} if facts.join else set())
    yield from [step for step in steps if step.verb is not Verb.TEST]
    if all(step.verb in {Verb.TEST, Verb.NOTE} for step in steps):  # else what is useful is seen when those are taken
        for tree in sorted(facts.running - useful):
            yield Step(Verb.CANCEL, tree=tree, reason="nothing depends on its result any more")
    room = max(facts.slots - len(facts.running & useful), 0)
    new = [s for s in wanted if s.tree not in facts.running and s.key not in facts.put_off][:room]
    for step in new:  # one that was ended still has its worktree for a moment: that is waited for
        yield replace(step, places=len(facts.running & useful) + len(new))


def _hold_back(streams: list[StreamFacts]) -> Iterator[Step]:
    """What has passed, with what was taken out of the integration branch since, may be merged by nobody any more."""
    for s in streams:
        if s.record.status in {Status.PASSED, Status.MERGING}:
            yield Step(Verb.READY, s.record.stream, s.taken_out, commit=s.tip)
        else:
            yield from _note([s], s.taken_out)


def _trouble(facts: Facts) -> str:
    """Return why nothing may be tested or land now, '' for nothing."""
    troubles = (
        (not facts.gates, "no gate is configured on the integration branch: nothing lands by itself"),
        (facts.diverged, _diverged(facts)),
        (facts.behind, "the integration branch is behind its upstream and must catch up first"),
    )
    return next((why for there, why in troubles if there), facts.train_problem)


def _land_or_test(facts: Facts, waiting: list[StreamFacts]) -> Iterator[Step]:
    suspects = [s for s in waiting if s.solo is Standing.FAILED]
    yield from _note(
        [s for s in waiting if s.solo is Standing.BLOCKED],
        "a gate could not be run on it merged with the integration branch: see test-results.json",
    )
    steps: list[Step] = []
    if facts.train is not None and facts.train.cars:
        steps += _move_train(facts, facts.train, suspects, waiting)
    elif suspects:
        steps += _judge_suspects(facts, suspects)
    proposals = [step for s in waiting if s.proposes for step in _propose(facts, s)]
    yield from _in_turn(facts, steps, proposals)


def _in_turn(facts: Facts, train: list[Step], proposals: list[Step]) -> Iterator[Step]:
    """What lands moves the tip that a proposal is tested on: both are not tested at once, but who waits longest first."""
    records = {s.record.stream: s.record for s in facts.streams}
    both = [[step for step in steps if step.verb is Verb.TEST] for steps in (train, proposals)]
    yield from [step for step in (*train, *proposals) if step.verb is not Verb.TEST]
    if any(step.verb is Verb.LAND for step in train):
        return

    def rank(tests: list[Step]) -> tuple[bool, str]:
        since = [r.ended_at or r.created_at for step in tests for car in step.cars if (r := records[car.stream])]
        return all(step.tree not in facts.running for step in tests), min(since, default="")

    yield from min((tests for tests in both if tests), key=rank, default=[])


def _move_train(facts: Facts, train: Train, suspects: list[StreamFacts], waiting: list[StreamFacts]) -> Iterator[Step]:
    by_stream = {s.record.stream: s for s in waiting}
    cars = [by_stream[car.stream] for car in train.cars if car.stream in by_stream]
    rests = {index: rest.standing for index, rest in facts.rests.items()}
    if facts.base is Standing.PASSED:
        yield from _reject(suspects)
        suspects = []
    guilty = [] if facts.base is Standing.FAILED else suspects  # failing alone on what is red says nothing of them
    move = search.next_move(facts.standings, facts.base, suspected=bool(suspects), slots=facts.slots, rests=rests)
    match move:
        case search.Land(index):
            yield from _reject(guilty)  # what passes without them shows that they are to blame
            yield from _land(facts, Train(train.base, train.cars[: index + 1]), cars, by_stream)
        case search.LandWithout(index):
            culprit, stuck = train.cars[index], train.cars[max(rests)]
            yield Step(Verb.REJECT, culprit.stream, "its tests failed", commit=stuck.commit, tree=stuck.tree)
            yield from _reject(guilty)
            others = [s for s in cars if s.record.stream != culprit.stream]
            yield from _land(facts, facts.rests[index].train, others, by_stream)
        case search.Test() | search.Compare() if facts.untrusted:
            yield from _note(cars, facts.untrusted)
        case search.Test(index) if index == search.BASE:
            yield Step(Verb.TEST, commit=facts.tip, tree=facts.tip_tree)
        case search.Test(index):
            yield _test(Train(train.base, train.cars), train.cars[index], "train")
        case search.Compare(indexes):
            for index in indexes:
                rest = facts.rests[index].train
                yield _test(rest, rest.cars[-1], f"rest/{train.cars[index].stream}")
        case search.Blame(index, proved) if proved:
            car = train.cars[index]
            yield Step(Verb.REJECT, car.stream, "its tests failed", commit=car.commit, tree=car.tree)
        case search.PreExisting():
            yield from _note([*cars, *suspects], PRE_EXISTING)
        case search.Blocked(index):
            whose = f"{train.cars[index].stream}'s merge"
            yield from _note(cars, f"a gate could not be run on {whose}: see test-results.json")


def _test(train: Train, car: Car, pin: str) -> Step:
    return Step(Verb.TEST, commit=car.commit, tree=car.tree, cars=train.cars, pin=pin)


def _land(facts: Facts, train: Train, cars: list[StreamFacts], by_stream: Mapping[str, StreamFacts]) -> Iterator[Step]:
    """Let all cars of a train whose last tree passed pass, and land them; ``cars`` are told where they wait for a person."""
    last = train.cars[-1]
    for car in train.cars:
        if by_stream[car.stream].record.status in {Status.READY, Status.TESTING}:
            yield Step(Verb.PASS, car.stream, commit=car.commit, tree=last.tree)
    if facts.merge_auto or all(by_stream[car.stream].wanted for car in train.cars):
        yield Step(Verb.LAND, commit=last.commit, tree=last.tree, old=train.base, cars=train.cars)
    else:
        yield from _note(cars, "merge.auto is off: it waits for a person to land it")


def _propose(facts: Facts, s: StreamFacts) -> Iterator[Step]:
    """A stream that lands by a pull request is tested alone on the integration branch's tip, as its merge will be."""
    match s.solo:
        case Standing.UNKNOWN if facts.untrusted:
            yield from _note([s], facts.untrusted)
        case Standing.UNKNOWN if s.alone is not None:
            yield _test(Train(facts.tip, (s.alone,)), s.alone, "")
        case Standing.PASSED:
            if s.record.status in {Status.READY, Status.TESTING}:
                yield Step(Verb.PASS, s.record.stream, commit=s.tip, tree=s.solo_tree)
            if not facts.merge_auto and not s.wanted:
                yield from _note([s], "merge.auto is off: it waits for a person to propose it")
            elif s.record.not_before <= facts.now:
                yield Step(Verb.PROPOSE, s.record.stream, commit=s.tip, tree=s.solo_tree)


def _judge_suspects(facts: Facts, suspects: list[StreamFacts]) -> Iterator[Step]:
    match facts.base:
        case Standing.PASSED:
            yield from _reject(suspects)
        case Standing.UNKNOWN if facts.untrusted:
            yield from _note(suspects, facts.untrusted)
        case Standing.UNKNOWN:
            yield Step(Verb.TEST, commit=facts.tip, tree=facts.tip_tree)
        case Standing.FAILED:
            yield from _note(suspects, PRE_EXISTING)
        case Standing.BLOCKED:
            yield from _note(suspects, "the gate could not be run on the integration branch: see test-results.json")


def _reject(suspects: list[StreamFacts]) -> Iterator[Step]:
    for s in suspects:
        yield Step(Verb.REJECT, s.record.stream, "its tests failed", commit=s.tip, tree=s.solo_tree)


def _note(streams: list[StreamFacts], reason: str) -> Iterator[Step]:
    for s in streams:
        if s.record.reason != reason or s.record.status is Status.TESTING:
            yield Step(Verb.NOTE, s.record.stream, reason)


def _to_push(facts: Facts) -> bool:
    return facts.merge_push and facts.ahead and not facts.diverged and bool(facts.tip)


def _prove(facts: Facts, under_test: list[str]) -> Iterator[Step]:
    """What moved the integration branch past the gate is tested before it is pushed."""
    unknown = facts.gates and facts.base is Standing.UNKNOWN and facts.tip_tree not in {"", *under_test}
    if _to_push(facts) and unknown and not facts.untrusted:
        yield Step(Verb.TEST, commit=facts.tip, tree=facts.tip_tree)


def _unproved(facts: Facts) -> str:
    """Return why the integration branch must not be pushed as it is, '' when it may: only what passed is."""
    if not facts.gates:
        return "no gate is configured on it, and only what passed one is pushed"
    match facts.base:
        case Standing.PASSED:
            return ""
        case Standing.FAILED:
            return "the gate fails on it: see test-results.json"
        case Standing.BLOCKED:
            return "the gate could not be run on it: see test-results.json"
        case Standing.UNKNOWN:
            return facts.untrusted or "it has not passed the gate yet"


def _after_landing(facts: Facts) -> Iterator[Step]:
    if facts.tip and facts.processed != facts.tip:
        yield Step(Verb.FOLLOW, commit=facts.tip, old=facts.processed)
    if _to_push(facts):
        yield Step(Verb.PUSH, reason=_unproved(facts), commit=facts.tip)
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
            if s.record.status is Status.QUEUED
            and not (s.claim_alive or s.merged or s.unseen or Verb.START in s.put_off)
            and (s.tip or s.worktree)
        ),
        key=lambda s: (-s.record.priority, s.record.created_at, s.record.stream),
    )
    made = _worktrees(facts)
    for s in waiting:
        pending = [a for a in s.record.after if status.get(a, Status.ARCHIVED) not in {Status.MERGED, Status.ARCHIVED}]
        if facts.untrusted:
            yield from _note([s], facts.untrusted)
        elif s.away:
            yield from _note([s], s.away)
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
