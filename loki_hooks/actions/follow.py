"""What follows a landing, drawn from the range of commits since the last time, whoever landed them and however.

Docs and blog items are named by content, so drawing the consequences twice makes nothing twice; only when all
are drawn does ``refs/loki/processed`` move on, by compare-and-swap.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loki_hooks.actions.context import Context
from loki_hooks.actions.docs import blog_items, docs_items
from loki_hooks.actions.facts import PROCESSED_REF
from loki_hooks.actions.gate_worktrees import rest
from loki_hooks.domain.signals import SignalName
from loki_hooks.system import events, queue_files, signal_files
from loki_hooks.system.files import held


def follow(context: Context, old: str, new: str) -> str:
    """Draw the consequences of the integration branch's move; return what was done, in words."""
    git, site = context.git, context.site
    said = []
    if old and git.commit_id(old) is not None:
        start = git.maybe("merge-base", old, new) or old
        made = 0
        for item in docs_items(context, start, new):
            made += queue_files.put(site, "docs", item, key=_key(item))[1]
        if made:
            said.append(f"{made} docs item{'s' if made > 1 else ''}")
        told = sum(
            queue_files.put(site, "blog", item, key=f"{item['trigger']}\0{item['commit']}")[1]
            for item in blog_items(context, start, new)
        )
        if told:
            said.append(f"{told} blog item{'s' if told > 1 else ''}")
        show_queues(context)
    testing = context.store.read().streams.get("testing")
    if testing is not None and Path(testing.path).is_dir():
        with held(site.private / "gate-testing-1.lock", timeout=0) as mine:
            if mine:  # else a gate is running there, which brings it to rest when it ends
                rest(context, Path(testing.path))
    git.update_ref(PROCESSED_REF, new, old, "followed")
    events.record(site, "followed", commit=new, detail=", ".join(said), evidence={"from": old})
    return ", ".join(said)


def _key(item: Mapping[str, Any]) -> str:
    """What makes a docs item the same one: the change itself, by content, whichever commit brought it here."""
    return "\0".join(str(item[part]) for part in ("trigger", "symbol", "file", "before", "after"))


def show_queues(context: Context) -> None:
    """Have DOCS_NEEDED and BLOG_POST_QUEUED exist exactly while there are open items."""
    for queue, kind in (("docs", "DOCS_NEEDED"), ("blog", "BLOG_POST_QUEUED")):
        name = SignalName(kind)
        items = queue_files.listed(context.site, queue)
        if not items:
            signal_files.clear(context.site, name)
        elif not (context.site.loki / "signals" / name.file).exists():
            tip = context.git.commit_id(context.integration_ref) or ""
            signal_files.emit(
                context.site,
                name,
                {
                    "stream": "main",
                    "branch": context.integration,
                    "worktree": str(context.site.root),
                    "commit": tip,
                    "tree": "",
                    "items": len(items),
                },
            )
