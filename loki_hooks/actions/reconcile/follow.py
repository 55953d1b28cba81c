"""What follows a landing, drawn from the range of commits since the last time, whoever landed them and however.

Docs and blog items are named by content, so drawing the consequences twice makes nothing twice; only when all
are drawn does ``refs/loki/processed`` move on, by compare-and-swap.
"""

from __future__ import annotations

from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.gates.worktrees import rest
from loki_hooks.actions.landing.untested import record_untested
from loki_hooks.actions.writing.blog import follow_blog
from loki_hooks.actions.writing.docs import follow_docs
from loki_hooks.actions.writing.queue_signals import show_queues
from loki_hooks.domain.refs import PROCESSED
from loki_hooks.domain.writing.queue import Noted
from loki_hooks.system.locks import try_hold
from loki_hooks.system.store import events


def follow(context: Context, old: str, new: str) -> str:
    """Draw the consequences of the integration branch's move; return what was done, in words."""
    git, site = context.git, context.site
    said: list[str] = []
    drawn: dict[str, Noted] = {}
    if old:
        record_untested(context, old, new)
    if old and git.commit_id(old) is not None:
        start = git.maybe("merge-base", old, new) or old
        # Of rewritten history (amend, reset, rebase) the docs queue needs to know what is not there any more, too.
        drawn = {"docs": follow_docs(context, old, new), "blog": follow_blog(context, start, new)}
        said = [words for queue, noted in drawn.items() for words in _words(queue, noted)]
        show_queues(context)
    testing = context.store.read().streams.get("testing")
    if testing is not None and Path(testing.path).is_dir():
        lock = try_hold(site.private / "gate-testing-1.lock")
        if lock is not None:  # else a gate is running there, which brings it to rest when it ends
            with lock:
                rest(context, Path(testing.path))
    git.update_ref(PROCESSED, new, old, "followed")
    counts = {queue: {"made": noted.made, "closed": noted.closed} for queue, noted in drawn.items()}
    events.record(site, "followed", commit=new, detail=", ".join(said), evidence={"from": old} | counts)
    return ", ".join(said)


def _words(queue: str, noted: Noted) -> list[str]:
    counts = ((noted.made, ""), (noted.closed, " closed"))
    return [f"{count} {queue} item{'s' if count > 1 else ''}{what}" for count, what in counts if count]
