"""Gather what a pass of reconcile looks at: git, ``.loki/``, the process table. Changes nothing that matters.

(It may write objects into git's database: the trees and commits of a train that is being thought about.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from loki_hooks.actions.consent import untrusted_reason
from loki_hooks.actions.context import Context
from loki_hooks.actions.gates.runners import runners
from loki_hooks.actions.gates.worktrees import MAX_WORKTREES, is_of_gate
from loki_hooks.actions.landing.upstream import UpstreamState, compared
from loki_hooks.actions.safe.away import moved_by_git
from loki_hooks.actions.safe.snapshot import is_only_place
from loki_hooks.actions.sessions.cap import current_cap
from loki_hooks.actions.streams.adoption import found
from loki_hooks.actions.streams.faults import MAIN, contained, put_off
from loki_hooks.actions.streams.renamed import made_anew, renamed_to
from loki_hooks.actions.streams.signals import said_ready, says_ready_itself
from loki_hooks.actions.train.look import Memory, TrainLook, join_seen, look_at_tip, look_at_train, looked_at
from loki_hooks.actions.writing.rounds import writers
from loki_hooks.domain.reconcile.facts import Facts, StreamFacts
from loki_hooks.domain.reconcile.streams import waits_for_setup
from loki_hooks.domain.refs import PROCESSED
from loki_hooks.domain.streams.failures import in_words
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import LIVING, Status
from loki_hooks.system.clock import now
from loki_hooks.system.git.copies import how_landed
from loki_hooks.system.git.git import WorktreeEntry, list_worktrees
from loki_hooks.system.processes.alive import is_alive
from loki_hooks.system.worktrees.registrations import is_here, why_away


def gather(context: Context, memory: Memory) -> Facts:
    """Return the facts as they are now."""
    git = context.git
    state = context.store.read()
    refs = git.refs("refs/heads/", PROCESSED)
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
        streams.append(looked_at(context, memory, s, lambda s: _seen(context, memory, s, state, worktrees, tip)))
    memory.running = frozenset(r.tree for r in runners(context) if not r.cancelled)
    slots = _slots(context, memory, streams)
    look = TrainLook(tuple(streams))
    problem = ""
    if tip and context.config.in_force.gates and any(s.in_train for s in streams):
        try:
            look = look_at_train(context, memory, tip, streams, slots)
        except Exception as error:  # noqa: BLE001  no identity to commit with, a locked signing key, …: nothing else stops
            problem = f"the merge train cannot be built: {in_words(error)}"
    upstream = contained(context, "upstream", lambda: compared(context, tip))
    if upstream is None:  # landed beside it, the two might have diverged
        problem, upstream = "the upstream cannot be looked at: see .loki/logs/hooks.log", UpstreamState()
    pushes = upstream.ahead and context.config.working.merge.push and bool(context.config.in_force.gates)
    if pushes and tip and not look.tip_tree:
        look = look_at_tip(context, memory, tip, look)
    writing = contained(context, "writers", lambda: writers(context, state)) or ()
    queued = any(s.record.status is Status.QUEUED or s.record.waits_in_plan for s in streams)
    return Facts(
        tip=tip,
        streams=look.streams,
        found=tuple(
            found(context, context.store.read(), worktrees, partial(is_of_gate, context))
        ),  # again: a spawn may have made one meanwhile
        upstream=upstream.commit,
        behind=upstream.behind,
        diverged=upstream.diverged,
        ahead=upstream.ahead,
        join=join_seen(context, memory, tip, upstream.commit) if upstream.diverged and pushes else None,
        processed=refs.get(PROCESSED, ""),
        train=look.train,
        standings=look.standings,
        base=look.base,
        base_reason=look.base_reason,
        rests=look.rests,
        tip_tree=look.tip_tree,
        train_problem=problem,
        gates=bool(context.config.in_force.gates),
        running=memory.running,
        slots=slots,
        cap=_cap(context, memory) if queued else 0,
        worktrees_max=context.config.working.worktrees.max,
        untrusted=untrusted_reason(context)
        if queued
        or pushes
        or any(s.in_train or waits_for_setup(s.record) for s in streams)
        or any(w.begins for w in writing)
        else "",
        merge_auto=context.config.working.merge.auto,
        merge_push=context.config.working.merge.push,
        cleanup_auto=context.config.working.cleanup.auto,
        kept=frozenset(memory.kept),
        given_up=frozenset(
            stream for stream, r in state.streams.items() if r.status is Status.ARCHIVED and not r.landed
        ),
        writers=writing,
        now=now(),
        put_off=put_off(state.streams.get(MAIN)),
    )


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
        renamed="" if s.tip else renamed_to(context, record, state, worktrees),
        anew=bool(s.tip) and made_anew(context, record, s.tip),
        merged=_has_landed(context, memory, record, s.tip, tip),
    )


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
