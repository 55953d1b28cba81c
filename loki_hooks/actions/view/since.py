"""What became of streams since the person last looked, so that none disappears without a word; and what happens, as it does."""

from __future__ import annotations

import time
from collections.abc import Iterator

from loki_hooks.actions.context import Context
from loki_hooks.actions.view.telling import Telling
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.site import Site
from loki_hooks.system.store import events

MOST = 10
LOOK = 0.5
_WENT = {
    "landed": "has landed",
    "merged": "is merged, as git shows",
    "vanished": "is gone: its branch and worktree were removed",
}


def went_since(context: Context) -> tuple[str, ...]:
    """Return what landed or went since the last look on a terminal, a sentence each; of many the last ones."""
    happened, _ = events.read_since(context.site, _looked(context.site))
    names = {record.stream: record.name for record in context.store.read().streams.values()}
    lines = []
    for event in happened:
        word = _WENT.get(str(event.get("event")))
        stream, commit = str(event.get("stream") or ""), str(event.get("commit") or "")
        if word and stream:
            lines.append(f"{names.get(stream, stream)} {word}" + (f" ({commit[:9]})" if commit else ""))
    whole = list(dict.fromkeys(lines))
    return (f"… and {len(whole) - MOST} more", *whole[-MOST:]) if len(whole) > MOST else tuple(whole)


def looked(site: Site) -> None:
    """Remember that a person has seen what has happened until now."""
    write_atomic(site.private / "looked", f"{events.end(site)}\n")


def _looked(site: Site) -> int:
    text = (read_plain(site.private / "looked", 100) or b"").decode("ascii", "replace").strip()
    return int(text) if text.isdigit() and len(text) < 18 else 0


def told(site: Site, *, follow: bool) -> Iterator[str]:
    """Yield the sentence of each thing that has happened, and with ``follow`` of each that happens from then on."""
    lines: list[str] = []
    telling = Telling(site, lines.append, start=0)
    while True:
        telling.go_on()
        yield from lines
        lines.clear()
        if not follow:
            return
        time.sleep(LOOK)
