"""Look at the train of the streams that may land, and at each of them alone. It may write trees and commits into git's database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from loki_hooks.actions.context import Context
from loki_hooks.actions.landing.join import look_at_join
from loki_hooks.actions.landing.merge import merge
from loki_hooks.actions.landing.taken_out import Gone
from loki_hooks.actions.landing.train_ref import current_train
from loki_hooks.actions.radar.survey import conflicts_of_tips
from loki_hooks.actions.train.build import build_train
from loki_hooks.domain.gates.results import Comparison, Outcome, SeenResult, Standing, compare, lets_through, standing
from loki_hooks.domain.reconcile.facts import Join, StreamFacts
from loki_hooks.domain.refs import TIP_TRAILER, TRAIN, WITHOUT
from loki_hooks.domain.streams.failures import LOOK, in_words
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import Status
from loki_hooks.domain.train.order import train_order
from loki_hooks.domain.train.search import Train, Without, to_compare
from loki_hooks.errors import CannotSignError, InterruptedRunError, LokiError
from loki_hooks.system.git.merges import Merged, merge_pairs
from loki_hooks.system.store import gate_results
from loki_hooks.system.store.fault_log import log_fault


@dataclass
class Memory:
    """What does not change within one pass: merges and standings by commit and tree, refused removals."""

    merges: dict[tuple[str, str], Merged] = field(default_factory=dict)
    standings: dict[str, Standing] = field(default_factory=dict)
    running: frozenset[str] = frozenset()
    """The trees that passes have under test: what is known of them so far does not count."""
    tested: frozenset[str] = frozenset()
    """The trees that had any gate result when the facts were gathered."""
    cap: int | None = None
    kept: set[str] = field(default_factory=set)
    landed: dict[tuple[str, str, str], bool] = field(default_factory=dict)
    """By (stream, its tip, the integration branch's): whether its work is in there."""
    joins: dict[tuple[str, str], Join] = field(default_factory=dict)
    gone: dict[str, Gone] = field(default_factory=dict)
    inside: dict[str, frozenset[tuple[str, str]]] = field(default_factory=dict)
    orders: dict[tuple[object, ...], tuple[StreamRecord, ...]] = field(default_factory=dict)
    trains: dict[tuple[object, ...], Train] = field(default_factory=dict)
    logged: set[tuple[str, str]] = field(default_factory=set)
    """(stream, reason) of the looks that failed and are in the log."""


def looked_at(
    context: Context, memory: Memory, s: StreamFacts, look: Callable[[StreamFacts], StreamFacts]
) -> StreamFacts:
    """Return what a look at the stream gives; where it raises, that the stream could not be seen."""
    try:
        return look(s)
    except InterruptedRunError:
        raise
    except Exception as error:  # noqa: BLE001  whatever it is, it costs this stream only
        why = in_words(error)
        before = s.record.failures.get(LOOK)
        news = before is None or (before.reason != why and LOOK not in s.put_off)
        if news and (s.record.stream, why) not in memory.logged:
            memory.logged.add((s.record.stream, why))
            log_fault(context.site, f"look at {s.record.stream}", error)
        return replace(s, unseen=why)


@dataclass(frozen=True)
class TrainLook:
    """What is seen of the train: the streams as they would land, the train, and how the trees stand."""

    streams: tuple[StreamFacts, ...]
    train: Train | None = None
    standings: tuple[Standing, ...] = ()
    base: Standing = Standing.UNKNOWN
    base_reason: str = ""
    tip_tree: str = ""
    rests: Mapping[int, Without] = field(default_factory=dict)


def look_at_train(context: Context, memory: Memory, tip: str, streams: Sequence[StreamFacts], slots: int) -> TrainLook:
    """Look at the train of the streams that may land, and at each of them alone. Raises ``LokiError``."""
    was = memory.gone.setdefault(tip, Gone(context, tip, [s.record for s in streams]))
    looked = {
        s.record.stream: looked_at(
            context, memory, s, lambda s: replace(s, taken_out=was.of(s.tip).reason(s.record.name, context.integration))
        )
        for s in streams
        if s.in_train
    }
    members = [s for s in looked.values() if not (s.taken_out or s.unseen)]
    tip_tree = context.git.tree_id(tip)
    memory.tested = gate_results.tested_trees(context.git)
    _merge_all(context, memory, tip, members)
    base = standing_of(context, memory, tip_tree)
    looked |= {
        s.record.stream: looked_at(context, memory, s, lambda s: _alone(context, memory, tip, tip_tree, s))
        for s in members
    }
    able = [
        s
        for s in looked.values()
        if not (s.unseen or s.merged or s.conflicts or s.proposes or s.taken_out)
        and s.solo not in {Standing.FAILED, Standing.BLOCKED}
    ]
    chosen = not context.config.working.merge.auto or base is Standing.FAILED  # then one may be asked for that mends it
    if chosen and any(s.wanted for s in able):
        able = [s for s in able if s.wanted]  # what nobody asked for must not hold up, nor come along
    train, unbuilt = _train_of_all_that_can(context, memory, tip, able)
    looked |= unbuilt
    able = [s for s in able if s.record.stream not in unbuilt]
    standings = tuple(standing_of(context, memory, car.tree) for car in train.cars) if train else ()
    rests = _rests(context, memory, train, able, to_compare(standings, base, slots)) if train else {}
    seen = tuple(looked.get(s.record.stream, s) for s in streams)
    return TrainLook(seen, train, standings, base, _why_base_stands_so(context, tip_tree, base), tip_tree, rests)


def look_at_tip(context: Context, memory: Memory, tip: str, look: TrainLook) -> TrainLook:
    """Look at how the integration branch's own tree stands: only what passed is pushed."""
    memory.tested = gate_results.tested_trees(context.git)
    tree = context.git.tree_id(tip)
    return replace(look, tip_tree=tree, base=standing_of(context, memory, tree))


def join_seen(context: Context, memory: Memory, tip: str, theirs: str) -> Join:
    """Look at the integration branch merged with its upstream."""
    if (tip, theirs) not in memory.joins:
        memory.joins[tip, theirs] = look_at_join(context, tip, theirs)
    join = memory.joins[tip, theirs]
    memory.tested = gate_results.tested_trees(context.git)
    return join if join.problem else replace(join, standing=standing_of(context, memory, join.tree))


def _train_of_all_that_can(
    context: Context, memory: Memory, tip: str, able: Sequence[StreamFacts]
) -> tuple[Train | None, dict[str, StreamFacts]]:
    """Return the train, and the streams that cannot be on one (each fails alone while others do not), as unseen.

    Raises what building raised where that is nobody's own fault: git has no identity to commit with, say.
    """
    try:
        return _train(context, memory, tip, able), {}
    except (InterruptedRunError, CannotSignError):
        raise
    except Exception:
        alone = [looked_at(context, memory, s, lambda s: _on_a_train(context, memory, tip, s)) for s in able]
        unbuilt = {s.record.stream: s for s in alone if s.unseen}
        if len(unbuilt) in {0, len(able)}:
            raise
        return _train(context, memory, tip, [s for s in able if s.record.stream not in unbuilt]), unbuilt


def _on_a_train(context: Context, memory: Memory, tip: str, s: StreamFacts) -> StreamFacts:
    _built(context, memory, tip, [s.record])
    return s


def _merge_all(context: Context, memory: Memory, tip: str, members: Sequence[StreamFacts]) -> None:
    """Merge each stream alone into the integration branch, all in one process; what conflicts is left for its turn."""
    plain = [s for s in members if not s.record.explicit_base]  # what was built on another is looked at by itself
    todo = [(tip, s.tip) for s in plain if (tip, s.tip) not in memory.merges]
    with suppress(LokiError):  # one that git cannot merge says so when it is merged by itself
        merged = zip(todo, merge_pairs(context.git, todo), strict=True)
        memory.merges.update({key: result for key, result in merged if not result.conflicts})


def _alone(context: Context, memory: Memory, tip: str, tip_tree: str, s: StreamFacts) -> StreamFacts:
    """Look at the stream merged alone into the integration branch: does it conflict, and how does that tree stand?

    One that adds nothing, and that a squashed commit there names, has landed (and whoever landed it was killed).
    """
    key = (tip, s.tip)
    if key not in memory.merges:
        memory.merges[key] = merge(context, *key)
    merged = memory.merges[key]
    if merged.conflicts:
        return replace(s, conflicts=merged.conflicts)
    if merged.tree == tip_tree and context.git.maybe(
        "log", "--max-count=1", "--format=%H", "--fixed-strings", f"--grep={TIP_TRAILER}: {s.tip}", tip
    ):
        return replace(s, merged=True)
    solo = standing_of(context, memory, merged.tree)
    s = _compared(context, memory, tip_tree, replace(s, solo_tree=merged.tree, solo=solo))
    proposes = not context.config.working.merge.how_of(s.record.kind).lands_by_train
    wanted = (proposes and solo is Standing.UNKNOWN) or s.compared is Comparison.RUN_AGAIN
    car = _built(context, memory, tip, [s.record]).cars[0] if wanted else None
    return replace(s, proposes=proposes, alone=car)


def _compared(context: Context, memory: Memory, tip_tree: str, s: StreamFacts) -> StreamFacts:
    """Compare a stream that a gate could not be run on, also while it is tried again, with the integration branch."""
    tree = s.solo_tree
    if s.solo not in {Standing.BLOCKED, Standing.UNKNOWN} or tree not in memory.tested:
        return s
    config = context.config.in_force
    seen = gate_results.seen(context.git, tree, config.gates.values(), config)
    if standing(seen) is not Standing.BLOCKED:
        return s
    stuck = [entry.result for entry in seen if entry.result and not lets_through(entry.gate, entry.result.outcome)]
    told = "; ".join(f"{result.gate} {_HOW[result.outcome]}: {result.reason}" for result in stuck)
    base = gate_results.seen(context.git, tip_tree, config.gates.values(), config)
    compared = compare(seen, base) if tree != tip_tree else Comparison.NOTHING
    solo = Standing.BLOCKED if compared is not Comparison.NOTHING else s.solo
    return replace(s, solo=solo, compared=compared, solo_reason=f"merged with {context.integration}, {told}")


_HOW = {Outcome.COULD_NOT_RUN: "could not be run", Outcome.FLAKY: "is flaky"}


def _why_base_stands_so(context: Context, tree: str, base: Standing) -> str:
    """Return what the gates say of the integration branch's own tree where it does not pass."""
    if base not in {Standing.FAILED, Standing.BLOCKED}:
        return ""
    config = context.config.in_force
    seen = gate_results.seen(context.git, tree, config.gates.values(), config)
    stuck = [entry.result for entry in seen if entry.result and not lets_through(entry.gate, entry.result.outcome)]
    return "; ".join(f"{result.gate}: {result.reason}" for result in stuck)


def standing_of(context: Context, memory: Memory, tree: str) -> Standing:
    if tree in memory.running:
        return Standing.UNKNOWN
    if tree not in memory.standings:
        config = context.config.in_force
        gates = config.gates.values()
        if tree in memory.tested:
            memory.standings[tree] = standing(gate_results.seen(context.git, tree, gates, config))
        else:
            memory.standings[tree] = standing(SeenResult(gate, None) for gate in gates)
    return memory.standings[tree]


def _train(context: Context, memory: Memory, tip: str, members: Sequence[StreamFacts]) -> Train | None:
    """Return the train under way if it still stands, or one that passed and waits to land; else a new one of all that
    are ready, in the order of `train_order`.
    """
    records = sorted((s.record for s in members), key=lambda r: r.stream)
    if not records:
        return None
    for ref in (TRAIN, *context.git.refs(WITHOUT)):
        known = current_train(context, tip, records, memory.merges, ref)
        if known is None:
            continue
        under_way = {r.stream for r in records if r.status is not Status.READY}
        passed = standing_of(context, memory, known.cars[-1].tree) is Standing.PASSED
        if ref != TRAIN:  # the rest of a train whose culprit was sent back: it lands as it was tested
            if passed and {r.stream for r in records} == {car.stream for car in known.cars}:
                return known
        elif passed and not under_way:  # it waits to land: what is behind it is tested meanwhile
            return _extended(context, memory, known, records)
        elif under_way and under_way == {car.stream for car in known.cars[_passed(context, memory, known) :]}:
            return known
        elif under_way == {car.stream for car in known.cars}:
            more = len(records) > len(known.cars) and len(known.cars) < context.config.working.merge.batch
            stays = passed and not context.config.working.merge.auto and not all(r.wanted == r.tip for r in records)
            if not (more and stays):  # what waits for a person does not keep others from being tested
                return known
    key = (tip, *((r.stream, r.tip) for r in records))
    if key not in memory.orders:
        batch = context.config.working.merge.batch
        memory.orders[key] = train_order(records, conflicts_of_tips(context, records), batch)
    built = _built(context, memory, tip, memory.orders[key])
    return built if built.cars else None


def _passed(context: Context, memory: Memory, train: Train) -> int:
    """Return how many of the first cars have passed together."""
    ahead = [n + 1 for n, car in enumerate(train.cars) if standing_of(context, memory, car.tree) is Standing.PASSED]
    return max(ahead, default=0)


def _extended(context: Context, memory: Memory, train: Train, records: Sequence[StreamRecord]) -> Train:
    """Return the train with what else can be on it behind its cars, which stay as they are."""
    there = {car.stream for car in train.cars}
    room = context.config.working.merge.batch - len(train.cars)
    others = [r for r in records if r.stream not in there][: max(room, 0)]
    more = _built(context, memory, train.cars[-1].commit, others) if others else Train("")
    return Train(train.base, (*train.cars, *more.cars))


def _built(context: Context, memory: Memory, tip: str, records: Sequence[StreamRecord]) -> Train:
    """Return the train of the records in this order, built once a pass: its commits carry the time, so another
    building is another train.
    """
    key = (tip, *((r.stream, r.tip) for r in records))
    if key not in memory.trains:
        memory.trains[key] = build_train(context, tip, records)
    return memory.trains[key]


def _rests(
    context: Context, memory: Memory, train: Train, able: Sequence[StreamFacts], wanted: Sequence[int]
) -> dict[int, Without]:
    """Return the trains without each of the cars ``wanted``; none where others depend on what is left out."""
    records = {s.record.stream: s.record for s in able}
    found = {}
    for index in wanted:
        left = [records[car.stream] for place, car in enumerate(train.cars) if place != index]
        ref = f"{WITHOUT}{train.cars[index].stream}"
        rest = current_train(context, train.base, left, memory.merges, ref)
        rest = rest or _built(context, memory, train.base, left)
        if [car.stream for car in rest.cars] == [r.stream for r in left]:
            found[index] = Without(rest, standing_of(context, memory, rest.cars[-1].tree))
    return found
