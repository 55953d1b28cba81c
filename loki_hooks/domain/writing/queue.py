"""Queues: what an item is called and what a program sees of one.

An item's life is ``open → claimed → done``; a claim whose owner died goes back to ``open``. An item is named
by what it is about (its *key*), so the same event seen twice, by whatever process, is one item.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from loki_hooks.domain.names import nearest, shown
from loki_hooks.errors import BadInputError

QUEUES = ("spawn", "docs", "blog")

_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
_SHAPES: Mapping[str, Mapping[str, Any]] = {
    "docs": {"trigger": "", "symbol": None, "file": "", "line": None, "commit": "", "docs": []},
}
"""The keys that programs rely on (README, "Queues"), with what stands there when an item does not say."""


class ItemState(StrEnum):
    OPEN = "open"
    CLAIMED = "claimed"
    DONE = "done"


@dataclass(frozen=True)
class QueueEntry:
    """An item as its queue has it. ``held``: a worker that lives has claimed it."""

    ident: str
    value: Mapping[str, Any]
    state: ItemState
    held: bool = False

    @property
    def live(self) -> bool:
        return self.state is not ItemState.DONE

    @property
    def age(self) -> tuple[bool, str]:
        """What sorts the entries about one thing: what is done first, then the oldest."""
        queued = self.value.get("queued_at")
        return self.live, queued if isinstance(queued, str) else ""


@dataclass(frozen=True)
class Edit:
    """What becomes of an item: its new value, and whether it is done.

    ``ident`` names an item that is there; ``key`` says what a new one is about.
    """

    value: Mapping[str, Any]
    ident: str = ""
    key: str = ""
    closed: bool = False


@dataclass(frozen=True)
class Noted:
    """What a landing did to the queue: how many items it made, and how many closed."""

    made: int = 0
    closed: int = 0


def item_id(key: str) -> str:
    """Return the id of the item about ``key``: 16 hex digits, the same for the same key everywhere."""
    canonical = json.dumps(key, ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:16]


def is_item_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def require_queue(word: str) -> str:
    """Return ``word`` if there is such a queue, else raise ``BadInputError``."""
    if word not in QUEUES:
        near = nearest(word, QUEUES)
        meant = f"did you mean {near}? " if near else ""
        raise BadInputError(f"there is no queue {shown(word)}", f"{meant}queues are {', '.join(QUEUES)}")
    return word


def require_item_id(word: str) -> str:
    """Return ``word`` if an item can be called so, else raise ``BadInputError``."""
    if not is_item_id(word):
        raise BadInputError(f"{shown(word)} is no item's id", "an id is 16 hex digits: see `loki-hooks queue list`")
    return word


def shown_item(queue: str, ident: str, item: Mapping[str, Any], state: ItemState) -> dict[str, Any]:
    """Return what a program sees of an item: id, the keys of its queue's shape, what else it holds, state."""
    own = {key: value for key, value in item.items() if key not in {"id", "state"}}
    return {"id": ident, **_SHAPES.get(queue, {}), **own, "state": state.value}
