"""The signals of the docs and blog queues: there exactly while an item waits or is being worked on."""

from __future__ import annotations

from loki_hooks.actions.context import Context, body_of_main
from loki_hooks.domain.streams.signals import SignalName
from loki_hooks.system.store import queues, signals

SIGNALS = {"docs": "DOCS_NEEDED", "blog": "BLOG_POST_QUEUED"}


def show_queues(context: Context) -> None:
    """Have DOCS_NEEDED and BLOG_POST_QUEUED exist exactly while there are items that are not done."""
    for queue, kind in SIGNALS.items():
        name = SignalName(kind)
        if any((context.site.loki / "queue" / queue / "claimed").glob("*.json")):
            queues.release_dead(context.site, queue)
        items = queues.listed(context.site, queue)
        if not items:
            signals.clear(context.site, name)
        elif not (context.site.loki / "signals" / name.file).exists():
            commit = context.git.commit_id(context.integration_ref) or ""
            signals.emit(context.site, name, {**body_of_main(context, commit=commit), "items": len(items)})
