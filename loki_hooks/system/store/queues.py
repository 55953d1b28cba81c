"""``.loki/queue/{spawn,docs,blog}/``: one JSON file an item, named by content; many workers, exactly one gets each.

    queue/docs/<id>.json              open
    queue/docs/claimed/<id>.json      claimed, moved here by rename(2)
    queue/docs/claimed/.<id>.owner    who claimed it: {"pid", "started", "claimed_at"}
    queue/docs/done/<id>.json         done; kept, so that the same event does not come back

Writers (put, revise, claim, done, release) hold the queue's kernel lock (``locks.hold``) for the few renames they do;
it ends with its process. Each kill point leaves a good state: the owner is written before the rename, so a
claim of ours always has one. A claim without an owner was made by somebody else's `mv`, and unknown means
still held. Readers take no lock. What stands in a queue and is no item (links, folders, FIFOs, other names,
files that are no JSON object) is passed over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loki_hooks.domain.streams.record import ProcessId
from loki_hooks.domain.writing.queue import (
    Edit,
    ItemState,
    QueueEntry,
    is_item_id,
    item_id,
    require_item_id,
    require_queue,
    shown_item,
)
from loki_hooks.errors import BadInputError, LokiError
from loki_hooks.system.clock import now
from loki_hooks.system.files import entries, write_atomic
from loki_hooks.system.json import dump_json, read_json
from loki_hooks.system.locks import BusyError, try_hold
from loki_hooks.system.processes.alive import is_alive

if TYPE_CHECKING:
    from loki_hooks.system.site import Site

MAX_ITEM_BYTES = 1024 * 1024
_PATIENCE = 20.0
"""Seconds to wait for the queue's lock; holders need it for microseconds, so more means a stopped process."""


def put(site: Site, queue: str, item: Mapping[str, Any], key: str) -> tuple[str, bool]:
    """Queue ``item`` under the id that ``key`` gives it; return (id, whether it was made).

    ``key`` is what makes the event the same event, e.g. ``"changed|src/app.py|greet|<commit>"``. An item with
    that id that is open, claimed or done is not made again.
    """
    ident = item_id(key)
    with _locked(site, queue) as folder:
        places = (folder, folder / "claimed", folder / "done")  # an item only moves forward, unless the lock is held
        if any(_read_item(place, ident) is not None for place in places):
            return ident, False
        head = {"id": ident, "queued_at": now()}
        write_atomic(folder / f"{ident}.json", dump_json({**head, **item, **head}))
    return ident, True


def listed(site: Site, queue: str) -> list[dict[str, Any]]:
    """Return the open and claimed items, oldest first: ``[{id, …, state}]``. A dead owner's claim counts as open."""
    folder = _folder(site, queue)
    found = {ident: shown_item(queue, ident, item, ItemState.OPEN) for ident, item in _items(folder)}
    for ident, item in _items(folder / "claimed"):
        state = ItemState.OPEN if _owner_died(folder, ident) else ItemState.CLAIMED
        if state is ItemState.OPEN and "closed_by" in item:  # it was closed while its owner was at it
            continue
        found[ident] = shown_item(queue, ident, item, state)
    return sorted(found.values(), key=_age)


def claim(site: Site, queue: str, ident: str | None, owner: ProcessId) -> dict[str, Any] | None:
    """Take the item ``ident`` (None: the oldest open one) for ``owner``; None when there is none to take.

    Claims of dead owners go back first. Of many workers that want one item exactly one gets it.
    """
    with _locked(site, queue) as folder:
        _release(folder)
        wanted = [(name, item) for name, item in _items(folder) if ident in {None, name}]
        for item in sorted((shown_item(queue, name, item, ItemState.CLAIMED) for name, item in wanted), key=_age):
            if _take(folder, str(item["id"]), owner):
                return item
    return None


def everything(site: Site, queue: str) -> list[QueueEntry]:
    """Return every item that the queue has or had, done ones too."""
    return list(_everything(_folder(site, queue)))


def revise(site: Site, queue: str, decide: Callable[[list[QueueEntry]], list[Edit]]) -> list[Edit]:
    """Apply what ``decide`` makes of all the queue's items, as one; return the edits that changed something.

    ``decide`` is called with the lock held: it only computes. A new item whose id is taken is left as it is there.
    """
    with _locked(site, queue) as folder:
        _release(folder)
        known = list(_everything(folder))
        there = {entry.ident: entry for entry in known}
        return [edit for edit in decide(known) if _apply(folder, there, edit)]


def done(site: Site, queue: str, ident: str, by: Mapping[str, Any] | None = None) -> bool:
    """Mark the item done, whether it was claimed or still open; return False when it was done already.

    ``by`` says who or what did it, for the record (the first one to say so stays).

    Raises ``BadInputError`` when the queue has no such item.
    """
    with _locked(site, queue) as folder:
        for place in (folder / "claimed", folder):
            item = _read_item(place, require_item_id(ident))
            if item is None:
                continue
            if by and "closed_by" not in item:
                write_atomic(place / f"{ident}.json", dump_json({**item, "closed_by": {**by, "at": now()}}))
            if not _rename(place / f"{ident}.json", folder / "done" / f"{ident}.json"):
                raise LokiError(f"cannot move the item {ident} to {folder / 'done'}", "see what stands there")
            _forget_owner(folder, ident)
            return True
        if _read_item(folder / "done", ident) is not None:
            return False
    raise BadInputError(f"the {queue} queue has no item {ident}", f"see `loki-hooks queue list {queue}`")


def state_of(site: Site, queue: str, ident: str) -> ItemState | None:
    """Return where the item stands now, or None when the queue has none called so."""
    folder = _folder(site, queue)
    for state, place in (("open", folder), ("claimed", folder / "claimed"), ("done", folder / "done")):
        if _read_item(place, require_item_id(ident)) is not None:
            return ItemState(state)
    return None


def release_dead(site: Site, queue: str) -> list[str]:
    """Put back what dead owners had claimed; return the ids."""
    with _locked(site, queue) as folder:
        return _release(folder)


def give_back(site: Site, queue: str, owner: ProcessId) -> list[str]:
    """Put back what ``owner`` has claimed, since it is about to end, and what the dead had; return the ids."""
    with _locked(site, queue) as folder:
        return _release(folder, owner)


# Below: the caller holds the lock, except where only reading -----------------------------------------------


def _release(folder: Path, leaving: ProcessId | None = None) -> list[str]:
    back = []
    for ident, item in list(_items(folder / "claimed")):
        target = folder / "done" if "closed_by" in item else folder  # it was closed while its owner was at it
        left = _owner_died(folder, ident) or (leaving is not None and _owner_of(folder, ident) == leaving)
        if left and _rename(folder / "claimed" / f"{ident}.json", target / f"{ident}.json"):
            _forget_owner(folder, ident)
            back.append(ident)
    return back


def _everything(folder: Path) -> Iterator[QueueEntry]:
    for ident, item in _items(folder):
        yield QueueEntry(ident, item, ItemState.OPEN)
    for ident, item in _items(folder / "claimed"):
        yield QueueEntry(ident, item, ItemState.CLAIMED, held=not _owner_died(folder, ident))
    for ident, item in _items(folder / "done"):
        yield QueueEntry(ident, item, ItemState.DONE)


def _apply(folder: Path, there: Mapping[str, QueueEntry], edit: Edit) -> bool:
    ident = edit.ident or item_id(edit.key)
    old = there.get(ident)
    if (old is None) is bool(edit.ident):
        return False
    place = None
    if old is not None:
        place = {ItemState.OPEN: folder, ItemState.CLAIMED: folder / "claimed"}.get(old.state, folder / "done")
        if not (place / f"{ident}.json").exists():  # somebody took it away by hand
            return False
    head = {"id": ident, "queued_at": (old.value if old else {}).get("queued_at") or now()}
    value = {**head, **edit.value, **head}
    if edit.closed and isinstance(value.get("closed_by"), Mapping):
        value["closed_by"] = {"at": now(), **value["closed_by"]}
    target = folder / "done" if edit.closed else place or folder
    write_atomic(target / f"{ident}.json", dump_json(value))
    if place is not None and place != target:
        (place / f"{ident}.json").unlink(missing_ok=True)
        _forget_owner(folder, ident)
    return True


def _take(folder: Path, ident: str, owner: ProcessId) -> bool:
    record = {**owner.to_json(), "claimed_at": now()}
    try:
        write_atomic(_owner_file(folder, ident), dump_json(record))
    except LokiError:  # something was put in its place: this item cannot be claimed, others can
        return False
    if _rename(folder / f"{ident}.json", folder / "claimed" / f"{ident}.json"):
        return True
    _forget_owner(folder, ident)
    return False


def _forget_owner(folder: Path, ident: str) -> None:
    with contextlib.suppress(OSError):
        _owner_file(folder, ident).unlink()


def _rename(source: Path, target: Path) -> bool:
    try:
        source.rename(target)
    except OSError:  # somebody moved it by hand, or put a folder in the way
        return False
    return True


@contextlib.contextmanager
def _locked(site: Site, queue: str) -> Iterator[Path]:
    folder = site.folder("queue", require_queue(queue))
    site.folder("queue", queue, "claimed")
    site.folder("queue", queue, "done")
    lock = try_hold(folder / ".lock", _PATIENCE)
    if lock is None:
        raise BusyError(f"the {queue} queue is held by another process for {_PATIENCE:.0f} s", "try again")
    with lock:
        yield folder


def _folder(site: Site, queue: str) -> Path:
    return site.loki / "queue" / require_queue(queue)


def _items(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (id, content) of each item in ``folder``."""
    for entry in entries(folder):
        ident, dot, suffix = entry.name.partition(".")
        if dot and suffix == "json" and is_item_id(ident):
            item = _read_item(folder, ident)
            if item is not None:
                yield ident, item


def _read_item(folder: Path, ident: str) -> dict[str, Any] | None:
    value = read_json(folder / f"{ident}.json", limit=MAX_ITEM_BYTES)
    return value if isinstance(value, dict) else None


def _owner_file(folder: Path, ident: str) -> Path:
    return folder / "claimed" / f".{ident}.owner"


def _owner_of(folder: Path, ident: str) -> ProcessId | None:
    return ProcessId.from_json(read_json(_owner_file(folder, ident), limit=MAX_ITEM_BYTES))


def _owner_died(folder: Path, ident: str) -> bool:
    owner = _owner_of(folder, ident)
    return owner is not None and not is_alive(owner)


def _age(item: Mapping[str, Any]) -> tuple[str, str]:
    queued = item.get("queued_at")
    return (queued if isinstance(queued, str) else "", str(item["id"]))
