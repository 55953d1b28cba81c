"""Gather what a pass of reconcile looks at: git, ``.loki/``, the process table. Changes nothing that matters.

(It may write objects into git's database: the trees and commits of a train that is being thought about.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.gates.run import MAX_WORKTREES, InterruptedRunError
from loki_hooks.actions.gates.runners import runners
from loki_hooks.actions.landing.join import look_at_join
from loki_hooks.actions.landing.taken_out import PROCESSED_REF, Gone
from loki_hooks.actions.landing.upstream import Compared, compared
from loki_hooks.actions.radar.survey import conflicts_of_tips
from loki_hooks.actions.safe.away import moved_by_git
from loki_hooks.actions.safe.snapshot import is_only_place
from loki_hooks.actions.sessions.cap import current_cap
from loki_hooks.actions.streams.faults import MAIN, contained, put_off
from loki_hooks.actions.streams.identity import identify
from loki_hooks.actions.streams.signals import said_ready, says_ready_itself
from loki_hooks.actions.streams.worktree import untrusted_reason
from loki_hooks.actions.train.build import RESTS, TIP_TRAILER, TRAIN_REF, build_train, current_train, merge
from loki_hooks.actions.writing.rounds import writers
from loki_hooks.domain.gates.results import Seen, Standing, standing
from loki_hooks.domain.reconcile.steps import Facts, Found, Join, StreamFacts
from loki_hooks.domain.streams.failures import LOOK, in_words
from loki_hooks.domain.streams.record import State, StreamRecord
from loki_hooks.domain.streams.status import LIVING, Status
from loki_hooks.domain.train.radar import train_order
from loki_hooks.domain.train.search import Rest, Train, to_compare
from loki_hooks.errors import LokiError
from loki_hooks.system.clock import now
from loki_hooks.system.git.copies import how_landed
from loki_hooks.system.git.git import WorktreeEntry, list_worktrees
from loki_hooks.system.git.merges import Merged, merge_pairs
from loki_hooks.system.processes.run import is_alive
from loki_hooks.system.store import gate_results
from loki_hooks.system.store.fault_log import log_fault
from loki_hooks.system.worktrees.registrations import is_here, why_away


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


def gather(context: Context, memory: Memory) -> Facts:
    """Return the facts as they are now."""
    git = context.git
    state = context.store.read()
    refs = git.refs("refs/heads/", PROCESSED_REF)
    worktrees = list_worktrees(git)
    tip = refs.get(context.integration_ref, "")
    ready = said_ready(context, state.streams)
    memory.standings.clear()
    streams = []
    for record in state.streams.values():
        if record.standing or record.status is Status.ARCHIVED:
            continue
        s = StreamFacts(
            record,
            refs.get(f"refs/heads/{record.branch}", ""),
            session_alive=is_alive(record.session),
            claim_alive=is_alive(record.claim),
            signalled=record.stream in ready,
            put_off=put_off(record),
        )
        streams.append(_looked_at(context, memory, s, lambda s: _seen(context, memory, s, state, worktrees, tip)))
    memory.running = frozenset(r.tree for r in runners(context) if not r.cancelled)
    slots = _slots(context, memory, streams)
    look = Look(tuple(streams))
    problem = ""
    if tip and context.config.in_force.gates and any(s.in_train for s in streams):
        try:
            look = _look_at_train(context, memory, tip, streams, slots)
        except Exception as error:  # noqa: BLE001  no identity to commit with, a locked signing key, …: nothing else stops
            problem = f"the merge train cannot be built: {in_words(error)}"
    upstream = contained(context, "upstream", lambda: compared(context, tip))
    if upstream is None:  # landed beside it, the two might have diverged
        problem, upstream = "the upstream cannot be looked at: see .loki/logs/hooks.log", Compared()
    pushes = upstream.ahead and context.config.working.merge.push and bool(context.config.in_force.gates)
    if pushes and tip and not look.tip_tree:
        look = _look_at_tip(context, memory, tip, look)
    writing = contained(context, "writers", lambda: writers(context, state)) or ()
    queued = any(s.record.status is Status.QUEUED for s in streams)
    return Facts(
        tip=tip,
        streams=look.streams,
        found=tuple(_found(context, context.store.read(), worktrees)),  # again: a spawn may have made one meanwhile
        upstream=upstream.commit,
        behind=upstream.behind,
        diverged=upstream.diverged,
        ahead=upstream.ahead,
        join=_join(context, memory, tip, upstream.commit) if upstream.diverged and pushes else None,
        processed=refs.get(PROCESSED_REF, ""),
        train=look.train,
        standings=look.standings,
        base=look.base,
        rests=look.rests,
        tip_tree=look.tip_tree,
        train_problem=problem,
        gates=bool(context.config.in_force.gates),
        running=memory.running,
        slots=slots,
        cap=_cap(context, memory) if queued else 0,
        worktrees_max=context.config.working.worktrees_max,
        untrusted=untrusted_reason(context)
        if queued or pushes or any(s.in_train for s in streams) or any(w.begins for w in writing)
        else "",
        merge_auto=context.config.working.merge.auto,
        merge_push=context.config.working.merge.push,
        cleanup_auto=context.config.working.cleanup.auto,
        kept=frozenset(memory.kept),
        writers=writing,
        now=now(),
        put_off=put_off(state.streams.get(MAIN)),
    )


def _looked_at(
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
        if (before is None or before.reason != why) and (s.record.stream, why) not in memory.logged:
            memory.logged.add((s.record.stream, why))
            log_fault(context.site, f"look at {s.record.stream}", error)
        return replace(s, unseen=why)


def _seen(
    context: Context, memory: Memory, s: StreamFacts, state: State, worktrees: Sequence[WorktreeEntry], tip: str
) -> StreamFacts:
    record = s.record
    registered = any(str(w.path) == record.path for w in worktrees)
    here = registered and is_here(context.site, Path(record.path))
    return replace(
        s,
        worktree=here,
        away="" if here or not record.path else why_away(context.site, Path(record.path)),
        moved="" if registered else moved_by_git(context, record, state, worktrees),
        safe=not s.tip and not here and is_only_place(context, record.stream),
        signalled=s.signalled or says_ready_itself(context, record),
        merged=_has_landed(context, memory, record, s.tip, tip),
    )


@dataclass(frozen=True)
class Look:
    """What is seen of the train: the streams as they would land, the train, and how the trees stand."""

    streams: tuple[StreamFacts, ...]
    train: Train | None = None
    standings: tuple[Standing, ...] = ()
    base: Standing = Standing.UNKNOWN
    tip_tree: str = ""
    rests: Mapping[int, Rest] = field(default_factory=dict)


def _look_at_train(context: Context, memory: Memory, tip: str, streams: Sequence[StreamFacts], slots: int) -> Look:
    """Look at the train of the streams that may land, and at each of them alone. Raises ``LokiError``."""
    was = memory.gone.setdefault(tip, Gone(context, tip, [s.record for s in streams]))
    looked = {
        s.record.stream: _looked_at(
            context, memory, s, lambda s: replace(s, taken_out=was.of(s.tip).reason(s.record.name, context.integration))
        )
        for s in streams
        if s.in_train
    }
    members = [s for s in looked.values() if not (s.taken_out or s.unseen)]
    tip_tree = context.git.tree_id(tip)
    memory.tested = gate_results.tested_trees(context.git)
    _merge_all(context, memory, tip, members)
    base = _standing(context, memory, tip_tree)
    looked |= {
        s.record.stream: _looked_at(context, memory, s, lambda s: _alone(context, memory, tip, tip_tree, s))
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
    standings = tuple(_standing(context, memory, car.tree) for car in train.cars) if train else ()
    rests = _rests(context, memory, train, able, to_compare(standings, base, slots)) if train else {}
    return Look(tuple(looked.get(s.record.stream, s) for s in streams), train, standings, base, tip_tree, rests)


def _look_at_tip(context: Context, memory: Memory, tip: str, look: Look) -> Look:
    """Look at how the integration branch's own tree stands: only what passed is pushed."""
    memory.tested = gate_results.tested_trees(context.git)
    tree = context.git.tree_id(tip)
    return replace(look, tip_tree=tree, base=_standing(context, memory, tree))


def _join(context: Context, memory: Memory, tip: str, theirs: str) -> Join:
    """Look at the integration branch merged with its upstream."""
    if (tip, theirs) not in memory.joins:
        memory.joins[tip, theirs] = look_at_join(context, tip, theirs)
    join = memory.joins[tip, theirs]
    memory.tested = gate_results.tested_trees(context.git)
    return join if join.problem else replace(join, standing=_standing(context, memory, join.tree))


def _train_of_all_that_can(
    context: Context, memory: Memory, tip: str, able: Sequence[StreamFacts]
) -> tuple[Train | None, dict[str, StreamFacts]]:
    """Return the train, and the streams that cannot be on one (each fails alone while others do not), as unseen.

    Raises what building raised where that is nobody's own fault: git has no identity to commit with, say.
    """
    try:
        return _train(context, memory, tip, able), {}
    except InterruptedRunError:
        raise
    except Exception:
        alone = [_looked_at(context, memory, s, lambda s: _on_a_train(context, memory, tip, s)) for s in able]
        unbuilt = {s.record.stream: s for s in alone if s.unseen}
        if len(unbuilt) in {0, len(able)}:
            raise
        return _train(context, memory, tip, [s for s in able if s.record.stream not in unbuilt]), unbuilt


def _on_a_train(context: Context, memory: Memory, tip: str, s: StreamFacts) -> StreamFacts:
    _built(context, memory, tip, [s.record])
    return s


def _cap(context: Context, memory: Memory) -> int:
    if memory.cap is None:
        memory.cap = current_cap(context.site, context.config.working).cap
    return memory.cap


def _slots(context: Context, memory: Memory, streams: Sequence[StreamFacts]) -> int:
    """Return how many trees may be tested at once: what the sessions leave of the cap, but one in any case.

    A tree's gates that run side by side in worktrees of their own take as many places.
    """
    if sum(s.in_train for s in streams) < 2:
        return 1
    active = sum(1 for s in streams if s.session_alive or s.claim_alive)
    wide = len({gate.worktree for gate in context.config.in_force.gates.values()}) or 1
    return min(max((_cap(context, memory) - active) // wide, 1), MAX_WORKTREES)


def _has_landed(context: Context, memory: Memory, record: StreamRecord, at: str, tip: str) -> bool:
    """Whether the stream's own work is in the integration branch: itself or, where nobody is at it, as a copy."""
    if not at or not tip or record.status not in LIVING or record.branch == context.integration:
        return False
    key = (record.stream, at, tip)
    if key not in memory.landed:
        busy = is_alive(record.session) or is_alive(record.claim)
        memory.landed[key] = bool(
            how_landed(
                context.git,
                record.branch,
                record.base,
                at,
                context.integration_ref,
                copies=not busy,
                inside=(record.branch, at) in _inside(context, memory, tip),
            )
        )
    return memory.landed[key]


def _inside(context: Context, memory: Memory, tip: str) -> frozenset[tuple[str, str]]:
    """Return the branches, each with its commit, that the integration branch contains at ``tip``: asked once for all."""
    if tip not in memory.inside:
        form = "--format=%(refname:lstrip=2)%00%(objectname)"
        listed = context.git.out("for-each-ref", form, f"--merged={tip}", "refs/heads/").splitlines()
        memory.inside[tip] = frozenset((name, at) for name, _, at in (line.partition("\0") for line in listed))
    return memory.inside[tip]


def _found(context: Context, state: State, worktrees: Sequence[WorktreeEntry]) -> list[Found]:
    """Return the worktrees that fit a kind's template and are no stream yet, whoever made them."""
    known = {r.path for r in state.streams.values() if r.status is not Status.ARCHIVED}
    found = []
    for entry in worktrees:
        if entry.bare or not entry.branch or str(entry.path) in known or entry.path == context.site.main:
            continue
        identity = identify(context, entry.branch)
        if identity is None or identity.kind == "testing" or not is_here(context.site, entry.path):
            continue
        taken = state.streams.get(identity.stream)
        if taken is not None and taken.status is not Status.ARCHIVED and not taken.resting:
            continue
        found.append(Found(str(entry.path), entry.branch, identity.kind, identity.name, entry.head))
    return found


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long, say: it is nothing that could be adopted
        return False


def _merge_all(context: Context, memory: Memory, tip: str, members: Sequence[StreamFacts]) -> None:
    """Merge each stream alone into the integration branch, all in one process; what conflicts is left for its turn."""
    todo = [(tip, s.tip) for s in members if (tip, s.tip) not in memory.merges]
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
    solo = _standing(context, memory, merged.tree)
    s = replace(s, solo_tree=merged.tree, solo=solo)
    if context.config.working.merge.how_of(s.record.kind) != "pr":
        return s
    car = _built(context, memory, tip, [s.record]).cars[0] if solo is Standing.UNKNOWN else None
    return replace(s, proposes=True, alone=car)


def _standing(context: Context, memory: Memory, tree: str) -> Standing:
    if tree in memory.running:
        return Standing.UNKNOWN
    if tree not in memory.standings:
        config = context.config.in_force
        gates = config.gates.values()
        if tree in memory.tested:
            memory.standings[tree] = standing(gate_results.seen(context.git, tree, gates, config))
        else:
            memory.standings[tree] = standing(Seen(gate, None) for gate in gates)
    return memory.standings[tree]


def _train(context: Context, memory: Memory, tip: str, members: Sequence[StreamFacts]) -> Train | None:
    """Return the train under way if it still stands, or one that passed and waits to land; else a new one of all that
    are ready, in the order of `train_order`.
    """
    records = sorted((s.record for s in members), key=lambda r: r.stream)
    if not records:
        return None
    for ref in (TRAIN_REF, *context.git.refs(RESTS)):
        known = current_train(context.git, tip, records, ref)
        if known is None:
            continue
        under_way = {r.stream for r in records if r.status is not Status.READY}
        passed = _standing(context, memory, known.cars[-1].tree) is Standing.PASSED
        if ref != TRAIN_REF:  # the rest of a train whose culprit was sent back: it lands as it was tested
            if passed and {r.stream for r in records} == {car.stream for car in known.cars}:
                return known
        elif passed and not under_way:
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
) -> dict[int, Rest]:
    """Return the trains without each of the cars ``wanted``; none where others depend on what is left out."""
    records = {s.record.stream: s.record for s in able}
    found = {}
    for index in wanted:
        left = [records[car.stream] for place, car in enumerate(train.cars) if place != index]
        ref = f"{RESTS}{train.cars[index].stream}"
        rest = current_train(context.git, train.base, left, ref) or _built(context, memory, train.base, left)
        if [car.stream for car in rest.cars] == [r.stream for r in left]:
            found[index] = Rest(rest, _standing(context, memory, rest.cars[-1].tree))
    return found
