"""The streams that write what landed: ``docs`` and ``blog`` begin when items wait, and rest when there is nothing to write.

One round is a stream like any other: a worktree on its own branch, a session, the gate, the train, clean-up. The items that its
session was given are in its record; once it has landed they are done, also those that the session left as they were because
the document was right. A round that failed stays for a person, as with every stream: nothing begins it again by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from loki_hooks.actions.context import Context
from loki_hooks.actions.writing.blog import closed
from loki_hooks.domain.streams.record import ProcessId, StreamRecord
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import Status
from loki_hooks.domain.writing.queue import Edit, ItemState, QueueEntry
from loki_hooks.domain.writing.rounds import Writer
from loki_hooks.errors import LokiError, reason_in
from loki_hooks.system.clock import now
from loki_hooks.system.git.fast_forward import fast_forward
from loki_hooks.system.git.git import Git
from loki_hooks.system.git.status import is_clean
from loki_hooks.system.store import queues

KINDS = ("docs", "blog")
GIVEN = 40
"""So many items are one round's: more than a session can see to are the next one's."""
_TASKS = {
    "docs": "Bring the documents up to what landed: mend exactly what the items below name.",
    "blog": "Draft posts about what landed: one for each of the items below.",
}


def writers(context: Context, state: State) -> tuple[Writer, ...]:
    """Return how the writing streams stand."""
    config = context.config.working
    found = []
    for kind, auto in (("docs", config.docs.auto), ("blog", config.blog.auto)):
        record = state.streams.get(kind)
        if auto or (record is not None and record.standing):
            waiting = [item for item in queues.listed(context.site, kind) if _begins_a_round(item)]
            found.append(Writer(kind, auto, len(waiting), record))
    return tuple(found)


def _begins_a_round(item: Mapping[str, Any]) -> bool:
    """What a writer itself brought waits for a round that something else begins: else its sessions might never end."""
    return item["state"] == ItemState.OPEN and str(item.get("stream", "")).partition("-")[0] not in KINDS


def begin(context: Context, kind: str) -> str:
    """Have a round begin; return '' or why it cannot."""
    from loki_hooks.actions.streams.make import make_streams
    from loki_hooks.actions.streams.plan import Request, plan_streams

    record = context.store.read().streams.get(kind)
    try:
        if record is not None and record.standing and record.path and Path(record.path).is_dir():
            _again(context, record)
            return ""
        branch = _left_branch(context, kind)
        planned = plan_streams(context, Request((kind,), _TASKS[kind], kind, branch=branch))
        for made in make_streams(context, planned, launch=True):
            if made.error:
                raise LokiError(made.error)
    except LokiError as error:
        rest(context, kind, Status.WATCHING, f"it cannot begin: {error.message}")
        return error.message
    return ""


def _left_branch(context: Context, kind: str) -> str:
    """Return the stream's branch where it is there already and has nothing of its own; '' for a new one."""
    values = context.values(kind=kind, name=kind, stream=kind)
    branch = context.branch_for(kind, values, kind)
    commit = context.git.commit_id(f"refs/heads/{branch}")
    return branch if commit and context.git.is_ancestor(commit, context.integration_ref) else ""


def _again(context: Context, record: StreamRecord) -> None:
    """Queue a stream that rests in its worktree, brought up to the integration branch. Raises ``LokiError``."""
    git = Git(Path(record.path), of=context.site.common)
    tip = context.git.commit_id(context.integration_ref) or ""
    if not is_clean(git, untracked="normal"):
        raise LokiError(f"{record.path} has changes that nobody committed")
    moved = fast_forward(git, tip)
    if moved.returncode != 0:
        raise LokiError(f"{record.path} cannot be brought up to date: {reason_in(moved.error_text)}")

    def queue(state: State) -> State:
        current = state.streams.get(record.stream)
        if current is None:
            return state
        return state.with_stream(
            current.moved(Status.QUEUED, base=tip, reason="", items=(), launch=True, before="", last_run="")
        )

    context.store.update(queue)


def rest(context: Context, kind: str, status: Status, reason: str = "") -> None:
    """Have the stream rest: it is ``watching`` for items, or ``idle``."""

    def apply(state: State) -> State:
        record = state.streams.get(kind)
        if record is None:
            branch = context.config.working.branches.get(kind, "")
            return state.with_stream(StreamRecord(kind, kind, status, branch=branch, created_at=now(), reason=reason))
        free = record.standing or record.status is Status.ARCHIVED
        return state.with_stream(record.moved(status, reason=reason)) if free else state

    context.store.update(apply)


# The items of a round --------------------------------------------------------------------------------------------------


def give_items(context: Context, record: StreamRecord, owner: ProcessId) -> StreamRecord:
    """Claim what waits for the session that ``owner`` runs, and record which items those are."""
    if record.kind not in KINDS:
        return record
    given = list(record.items)
    for item in queues.listed(context.site, record.kind):
        ident = str(item["id"])
        if (len(given) < GIVEN or ident in given) and queues.claim(context.site, record.kind, ident, owner):
            given.append(ident)
    items = tuple(dict.fromkeys(given))

    def remember(state: State) -> State:
        current = state.streams.get(record.stream)
        return state if current is None else state.with_stream(replace(current, items=items))

    return context.store.update(remember).streams.get(record.stream, record)


def give_back(context: Context, record: StreamRecord, owner: ProcessId) -> None:
    """Give back what the session had claimed: it has ended, though its runner still sees to what follows."""
    if record.kind in KINDS:
        queues.give_back(context.site, record.kind, owner)


def items_of(context: Context, record: StreamRecord) -> list[Mapping[str, Any]]:
    """Return the items that the stream's session has to see to; before it was given any: what waits."""
    if record.kind not in KINDS:
        return []
    entries = [entry for entry in queues.everything(context.site, record.kind) if entry.live]
    mine = set(record.items)
    wanted = [e for e in entries if (e.ident in mine if mine else not e.held)]
    return [{**entry.value, "id": entry.ident} for entry in sorted(wanted, key=lambda e: e.age)[:GIVEN]]


def say_written(context: Context, record: StreamRecord, ident: str) -> bool:
    """Note that the session has seen to an item that it was given: it is done once that has landed. False: not its own."""
    if record.kind not in KINDS or ident not in record.items:
        return False

    def decide(known: list[QueueEntry]) -> list[Edit]:
        by = {"stream": record.stream, "at": now()}
        return [Edit({**e.value, "written_by": by}, ident=ident) for e in known if e.live and e.ident == ident]

    return bool(queues.revise(context.site, record.kind, decide))


def all_written(context: Context, record: StreamRecord) -> bool:
    """Whether the session was given items and has said of each that it is done."""
    mine = set(record.items)
    live = [e for e in queues.everything(context.site, record.kind) if e.live and e.ident in mine] if mine else []
    return bool(mine) and all("written_by" in entry.value for entry in live)


def close_items(context: Context, record: StreamRecord) -> int:
    """Close the items of a round that is over; return how many were still open."""
    how = "nothing had to be changed" if record.status is Status.IDLE else f"the {record.kind} stream landed"
    by = {"stream": record.stream, "commit": record.landed, "how": how}
    mine = set(record.items)

    def decide(known: list[QueueEntry]) -> list[Edit]:
        return [closed(e, by) for e in known if e.live and e.ident in mine and "closed_by" not in e.value]

    edits = queues.revise(context.site, record.kind, decide)
    context.store.update(
        lambda s: s.with_stream(replace(s.streams[record.stream], items=())) if record.stream in s.streams else s
    )
    return len(edits)
