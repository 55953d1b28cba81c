"""`loki-hooks queue`: the items that wait for somebody, one of whom gets each.

A claim belongs to a process and goes back when that process ends. A command line is gone in a moment, so the owner
is who ran it: in a stream's worktree the stream's session, elsewhere the parent process (a person's shell, a worker).
An agent whose every command runs in a shell of its own names a process that lasts with ``--owner``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from loki_hooks.actions.context import Context
from loki_hooks.actions.requests import queue as requests
from loki_hooks.cli.console import answer, answer_json, say, table
from loki_hooks.domain.writing.queue import QUEUES, require_item_id, require_queue
from loki_hooks.system.site import require_enabled
from loki_hooks.system.store import queues

if TYPE_CHECKING:
    from collections.abc import Callable

_HIDDEN = ("id", "state", "queued_at", "docs")


@click.group("queue")
def queue() -> None:
    """List, claim or finish the items of a queue: docs, blog or spawn.

    The docs queue holds the documentation that landed changes ask for, the blog queue what is worth telling, the
    spawn queue what waits for a place. What a later landing documents or publishes is done by itself.
    """


def _queue_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.argument("name", metavar="|".join(QUEUES))(command)


@queue.command("list")
@_queue_argument
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print [{id, ..., state}], for docs [{id, trigger, symbol, file, line, before, after, commit, stream, "
    "docs: [{path, line}], breaking, undocumented, state}].",
)
def list_items(name: str, as_json: bool) -> None:
    """List what is open or claimed, oldest first."""
    items = queues.listed(require_enabled(), require_queue(name))
    if as_json:
        answer_json(items)
    elif items:
        table(("id", "state", "what"), [(item["id"], item["state"], _summary(item)) for item in items])
    else:
        say(f"the {name} queue is empty")


@queue.command("claim")
@_queue_argument
@click.argument("ident", metavar="[ID]", required=False)
@click.option("--owner", type=click.IntRange(min=1), metavar="PID", help="The process whose end gives the item back.")
@click.option("--json", "as_json", is_flag=True, help="Print the item.")
def claim(name: str, ident: str | None, owner: int | None, as_json: bool) -> int:
    """Take an item (by default the oldest) so that nobody else does. Exit 1 when there is none to take.

    The claim goes back to the queue when its owner ends: the session, in a stream's worktree; else the process that
    ran this command.
    """
    require_queue(name)
    if ident is not None:
        require_item_id(ident)
    context = Context(require_enabled())
    item = requests.claim(context, name, ident, owner)
    if item is not None:
        answer_json(item) if as_json else answer(item["id"])
        return 0
    if ident is None:
        say(f"nothing waits in the {name} queue")
    else:
        say(f"the item {ident} is {requests.state_of(context, name, ident)} already")
    return 1


@queue.command("done")
@_queue_argument
@click.argument("ident", metavar="ID")
def done(name: str, ident: str) -> None:
    """Say that an item is done, claimed or not. Safe to repeat."""
    require_queue(name)
    require_item_id(ident)
    became, stream = requests.done(Context(require_enabled()), name, ident)
    if became is requests.DoneItem.ONCE_LANDED:
        say(f"the item {ident} is done once {stream} has landed")
    else:
        say(f"the item {ident} {'is done' if became is requests.DoneItem.NOW else 'was done already'}")


def _summary(item: dict[str, Any]) -> str:
    """Return what an item is about, for people: of a docs item what changed where, and which documents say so."""
    if "trigger" not in item:
        return ", ".join(
            f"{key}: {value}" for key, value in item.items() if key not in _HIDDEN and value not in ("", [], None)
        )
    where = f"{item.get('file', '')}:{item.get('line', '')}" if item.get("file") else ""
    text = " ".join(str(part) for part in (item["trigger"], item.get("symbol", ""), where) if part)
    text += " (breaking)" if item.get("breaking") is True else ""
    docs = [f"{d.get('path')}:{d.get('line')}" for d in item.get("docs", []) if isinstance(d, dict)]
    if item.get("reason"):
        text += f" ({item['reason']})"
    if docs:
        return f"{text} → {', '.join(docs[:5])}" + (f" and {len(docs) - 5} more" if len(docs) > 5 else "")
    near = item.get("near")
    like = f" (its like is in {', '.join(map(str, near))})" if isinstance(near, list) and near else ""
    return text + (f" → nothing mentions it yet{like}" if item.get("undocumented") else "")
