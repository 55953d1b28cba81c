"""How things are: every stream with what it waits for, drawn from git and the state.

Changes nothing but what the radar remembers.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from loki_hooks.actions.consent import untrusted_reason
from loki_hooks.actions.context import Context
from loki_hooks.actions.gates.worktrees import is_of_gate
from loki_hooks.actions.landing.upstream import why_not_pushed
from loki_hooks.actions.radar.notices import FAR_BEHIND, OLD_DAYS
from loki_hooks.actions.radar.survey import Picture, names_of, survey
from loki_hooks.actions.sessions.cap import current_cap
from loki_hooks.actions.sessions.evidence import gather_evidence
from loki_hooks.actions.streams.adoption import found, strangers
from loki_hooks.actions.streams.faults import MAIN
from loki_hooks.actions.view.orphans import Orphan, orphans
from loki_hooks.actions.view.reasons import Reasons
from loki_hooks.actions.view.since import went_since
from loki_hooks.domain.advice import advice
from loki_hooks.domain.gates.results import GateResult
from loki_hooks.domain.sessions.evidence import Evidence
from loki_hooks.domain.streams.failures import in_words
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.stages import shown_stage
from loki_hooks.domain.streams.status import LIVING, Status
from loki_hooks.domain.verdict import Verdict, judge_streams
from loki_hooks.errors import BadInputError, LokiError
from loki_hooks.system.clock import seconds_since
from loki_hooks.system.config.load import FILE, PYPROJECT
from loki_hooks.system.git.git import Git, WorktreeEntry, list_worktrees
from loki_hooks.system.git.graph import ahead_behind, merge_bases
from loki_hooks.system.git.operations import git_dir_of, operation_in
from loki_hooks.system.git.status import entries
from loki_hooks.system.git.touched import touched_paths
from loki_hooks.system.locks import holder_of_pass
from loki_hooks.system.processes.alive import is_alive
from loki_hooks.system.store import gate_results
from loki_hooks.system.store import queues as queue_files
from loki_hooks.system.worktrees.registrations import is_here, why_away

T = TypeVar("T")


@dataclass(frozen=True)
class StreamStatus:
    """One line of the status. ``gate`` is name → outcome of the stream merged into the integration branch."""

    record: StreamRecord
    tip: str
    ahead: int
    behind: int
    dirty: bool | None
    session_alive: bool
    conflicts: Mapping[str, tuple[str, ...]]
    """Who it will conflict with, by name (the integration branch too), and on which files."""
    gate: dict[str, str]
    stage: str
    """The stage that its session is in, was in last, or the next one shall be in."""
    shown_stage: str
    """The same for people, '' where its task has only one."""
    evidence: Evidence | None = None
    """What is seen of its session, while there is one."""
    away: str = ""
    """Why its worktree is not in its place ('' when it is): looked at now, never stored."""
    not_in_force: tuple[str, ...] = ()
    """What it changed of the configuration that gates it, without effect on its own gate."""

    @property
    def reason(self) -> str:
        """Why it stands as it does."""
        return "; ".join(dict.fromkeys(filter(None, (self.away, self.record.reason))))

    @property
    def advice(self) -> str:
        """What a person can do about it, '' where nothing is to be said."""
        return advice(self.record, self.tip) if not self.session_alive else ""

    def to_json(self) -> dict[str, Any]:
        r = self.record
        process = r.session or r.claim
        return {
            "name": r.name,
            "stream": r.stream,
            "kind": r.kind,
            "branch": r.branch,
            "path": r.path,
            "status": r.status.value,
            "stage": self.stage,
            "task": r.task.title,
            "ahead": self.ahead,
            "behind": self.behind,
            "dirty": self.dirty,
            "session": {
                "pid": process.pid if process else None,
                "alive": self.session_alive,
                "started_at": r.started_at or None,
                "evidence": self.evidence.to_json() if self.evidence else None,
            },
            "conflicts": list(self.conflicts),
            "conflict_files": {name: list(files) for name, files in self.conflicts.items()},
            "gate": self.gate,
            "not_in_force": list(self.not_in_force),
            "reason": self.reason,
            "advice": self.advice,
            "agent": r.agent,
            "origin": r.origin,
            "commit": self.tip,
        }


@dataclass(frozen=True)
class Overview:
    """Everything that `status` shows. ``notes`` are sentences that a person should read."""

    integration: str
    main_path: str
    main_branch: str
    main_dirty: bool
    cap: int
    active: int
    verdict: Verdict
    streams: tuple[StreamStatus, ...]
    queues: dict[str, int]
    notes: tuple[str, ...]
    orphans: tuple[Orphan, ...] = ()
    shared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Files that several living streams touch: path → their names."""
    over: tuple[str, ...] = ()
    """Streams that wait for nothing any more, or are to be made of worktrees: a pass goes on with them."""
    went: tuple[str, ...] = ()
    """What landed or went since a person last looked, as sentences."""

    def to_json(self) -> dict[str, Any]:
        return {
            "integration_branch": self.integration,
            "main": {"path": self.main_path, "branch": self.main_branch, "dirty": self.main_dirty},
            "cap": self.cap,
            "active": self.active,
            "verdict": self.verdict.to_json(),
            "streams": [s.to_json() for s in self.streams],
            "queues": self.queues,
            "notes": list(self.notes),
            "went": list(self.went),
            "orphans": [o.to_json() for o in self.orphans],
            "shared_files": {path: list(names) for path, names in self.shared.items()},
        }


def overview(context: Context) -> Overview:
    """Return the status of everything. Runs few git processes for the lot; one per worktree, side by side, for its dirt."""
    site, git = context.site, context.git
    state = context.store.read()
    heads = git.refs("refs/heads/")
    base = heads.get(context.integration_ref, "")
    records = [r for _, r in sorted(state.streams.items()) if not r.standing and r.status is not Status.ARCHIVED]
    tips = {r.stream: heads.get(f"refs/heads/{r.branch}", "") for r in records}
    notes: list[str] = []
    worktrees = list_worktrees(git)
    is_ours = partial(is_of_gate, context)
    coming = _tried(notes, "worktrees", lambda: found(context, state, worktrees, is_ours)) if site.enabled else None
    coming = coming or []
    reasons = Reasons(context)
    records = [_tried(notes, r.stream, partial(reasons.look_again, r)) or r for r in records]
    counts = _tried(notes, "distances", lambda: _distances(context, base, tips)) or {}
    seen = _tried(notes, "conflicts", lambda: survey(context, records, tips, base)) or Picture()
    gates = _tried(notes, "gate results", lambda: _gates(context, seen.alone)) or {}
    evidence = _tried(notes, "evidence", lambda: gather_evidence(context, records)) or {}
    touched = _tried(notes, "touched files", lambda: _touched(context, base, records, tips)) or {}
    names = names_of(records, context.integration)

    def look(r: StreamRecord) -> StreamStatus:
        there = seen.looks.get(r.stream)
        return StreamStatus(
            record=r,
            tip=tips[r.stream],
            ahead=counts.get(tips[r.stream], (0, 0))[0],
            behind=counts.get(tips[r.stream], (0, 0))[1],
            dirty=there.dirty if there else None,
            session_alive=is_alive(r.session) or is_alive(r.claim),
            conflicts={names.get(other, other): files for other, files in seen.conflicts.get(r.stream, {}).items()},
            gate={name: result.outcome.value for name, result in gates.get(r.stream, {}).items()},
            stage=context.stage_of(r),
            shown_stage=shown_stage(context.stages_of(r), r.stage),
            evidence=evidence.get(r.stream),
            away=why_away(site, Path(r.path)) if r.path and r.status is not Status.PLANNED else "",
            not_in_force=_not_in_force(context, tips[r.stream], touched.get(r.stream, ())),
        )

    def unseen(r: StreamRecord) -> StreamStatus:
        alive = is_alive(r.session) or is_alive(r.claim)
        return StreamStatus(r, tips[r.stream], 0, 0, None, alive, {}, {}, r.stage, "")

    streams = tuple(_tried(notes, r.stream, partial(look, r)) or unseen(r) for r in records)
    return Overview(
        integration=context.integration,
        main_path=str(site.root),
        main_branch=git.maybe("symbolic-ref", "-q", "--short", "HEAD") or "",
        main_dirty=site.main is not None and bool(_dirty(site.main)),
        cap=current_cap(site, context.config.working).cap,
        active=sum(1 for s in streams if s.session_alive),
        verdict=judge_streams(records),
        streams=streams,
        queues={
            queue: len(queue_files.listed(site, queue)) if site.enabled else 0 for queue in ("spawn", "docs", "blog")
        },
        orphans=_tried(notes, "orphans", lambda: orphans(context, records, heads, worktrees)) or (),
        notes=(
            *_notes(context),
            *(_tried(notes, "worktrees", lambda: _loose(context, worktrees)) or ()),
            *(f"{f.path} becomes the stream {f.name} in a moment" for f in coming),
            *_gated_by_another(streams, context.integration),
            *_aged(streams, context.integration),
            *_troubles(context, state.streams.get(MAIN), seen.trouble),
            *notes,
        ),
        shared=_shared(records, touched),
        over=(*reasons.over, *(f.name for f in coming)),
        went=_tried(notes, "events", lambda: went_since(context)) or (),
    )


def _tried(notes: list[str], what: str, look: Callable[[], T]) -> T | None:
    """Return what a look gives; None, and a note, where it raises: what else there is to see is shown."""
    try:
        return look()
    except Exception as error:  # noqa: BLE001  whatever it is, it hides nothing else
        notes.append(f"{what} cannot be looked at: {in_words(error)}")
        return None


def _troubles(context: Context, main: StreamRecord | None, prediction: str) -> tuple[str, ...]:
    """Return what holds passes up or fails in them, and is no stream's own."""
    notes = [f"{what} failed ({f.times} in a row): {f.reason}" for what, f in main.failures.items()] if main else []
    if prediction:
        notes.append(f"not every conflict is predicted: {prediction}")
    holder = holder_of_pass(context.site)
    if holder is not None and holder.suspended:
        pid = holder.process.pid
        notes.append(
            f"a pass is suspended ({holder}), and nothing moves until it ends: `kill -CONT {pid}` lets it go on"
        )
    return tuple(notes)


def _distances(context: Context, base: str, tips: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    return dict(ahead_behind(context.site, base, [t for t in tips.values() if t])) if base else {}


def _touched(
    context: Context, base: str, records: Sequence[StreamRecord], tips: Mapping[str, str]
) -> dict[str, Sequence[str]]:
    """Return the files that each living stream touches since it left the integration branch."""
    live = [r for r in records if r.status in LIVING and tips[r.stream]] if base else []
    meetings = merge_bases(context.site, base, [tips[r.stream] for r in live]) if live else {}
    able = [r for r in live if tips[r.stream] in meetings]
    found = touched_paths(context.git, [(meetings[tips[r.stream]], tips[r.stream]) for r in able])
    return {r.stream: paths for r, paths in zip(able, found, strict=True)}


def _shared(records: Sequence[StreamRecord], touched: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return the files that more than one living stream touches."""
    found: dict[str, list[str]] = {}
    for record in records:
        for path in touched.get(record.stream, ()):
            found.setdefault(path, []).append(record.name)
    return {path: tuple(names) for path, names in sorted(found.items()) if len(names) > 1}


def _not_in_force(context: Context, tip: str, touched: Sequence[str]) -> tuple[str, ...]:
    """Return what the stream changed of the configuration that gates it (it is gated by the integration branch's)."""
    if not {FILE, PYPROJECT}.intersection(touched):
        return ()
    try:
        return context.config.not_in_force_at(context.git, tip)
    except BadInputError:
        return ("unreadable",)


def _gated_by_another(streams: Sequence[StreamStatus], integration: str) -> tuple[str, ...]:
    changed = {s.record.stream: " and ".join(s.not_in_force) for s in streams if s.not_in_force}
    return tuple(
        f"{stream} has a configuration that cannot be read: not in force, the one of {integration} gates it"
        if what == "unreadable"
        else f"{stream} changes {what}: not in force, the configuration of {integration} gates it"
        for stream, what in changed.items()
    )


def _aged(streams: Sequence[StreamStatus], integration: str) -> tuple[str, ...]:
    """Say which streams are old or far behind, each with what brings it up to date."""
    notes = []
    for s in streams:
        if s.record.status not in LIVING:
            continue
        days = (seconds_since(s.record.created_at) or 0) / 86400
        cure = f"`loki-hooks sync {s.record.name}` brings it up to date"
        if s.behind >= FAR_BEHIND:
            notes.append(f"{s.record.stream} is {s.behind} commits behind {integration}: {cure}")
        elif days >= OLD_DAYS:
            notes.append(f"{s.record.stream} was begun {days:.0f} days ago: {cure}")
    return tuple(notes)


def _dirty(path: Path) -> bool | None:
    """Whether there is anything uncommitted; None when there is no worktree to look into."""
    if not (path / ".git").exists():
        return None
    try:
        return bool(entries(Git(path), untracked="normal", submodules=False))
    except LokiError:
        return None


def _gates(context: Context, trees: Mapping[str, str]) -> dict[str, dict[str, GateResult]]:
    """Return the gate results of each stream merged into the integration branch."""
    config = context.config.in_force
    have = gate_results.tested_trees(context.git)
    found: dict[str, dict[str, GateResult]] = {}
    for stream, tree in trees.items():
        if tree in have:
            seen = gate_results.seen(context.git, tree, config.gates.values(), config)
            found[stream] = {entry.gate.name: entry.result for entry in seen if entry.result is not None}
    return found


def _notes(context: Context) -> tuple[str, ...]:
    config = context.config
    notes = list(config.working.warnings)
    if not context.site.enabled:
        notes.append(f"loki-hooks is not on in {context.site.root}: turn it on with `loki-hooks install`")
    if not config.in_force.gates:
        written = " (loki-hooks.toml has some, but it is not committed there)" if config.working.gates else ""
        notes.append(f"no gate is configured on {config.integration}{written}: nothing lands by itself")
    elif config.not_in_force:
        notes.append(
            f"not in force: {', '.join(config.not_in_force)} in the working copy differ from the commit of {config.integration}"
        )
    notes += filter(None, [why_not_pushed(context)])
    untrusted = untrusted_reason(context)
    if untrusted and context.site.enabled:
        notes.append(f"what this repository runs {untrusted}")
    return tuple(notes)


def _loose(context: Context, worktrees: Sequence[WorktreeEntry]) -> tuple[str, ...]:
    """Say of worktrees that are on no branch, so nothing of them could land, how they become streams."""
    return tuple(
        f"not a stream: {entry.path} is on no branch: `git -C {shlex.quote(str(entry.path))} switch -c NAME` makes it one"
        for entry in strangers(context, context.store.read(), worktrees, partial(is_of_gate, context))
        if not entry.branch and is_here(context.site, entry.path) and not operation_in(git_dir_of(entry.path))
    )
