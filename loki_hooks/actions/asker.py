"""Refuse a session what is its user's to decide, and say so in the events."""

from __future__ import annotations

from loki_hooks.domain.asker import Deed, Session, refused
from loki_hooks.errors import RefusedError
from loki_hooks.system.site import Site
from loki_hooks.system.store import events
from loki_hooks.system.store.asker import who_asks

_HINTS = {
    Deed.TRUST: "`loki-hooks trust` is for people",
    Deed.UNGATED: "--ungated is for people",
    Deed.STOP: "a session may stop its own stream only; what others do is for people to decide",
    Deed.FINISH: "a session may finish its own stream only; what becomes of others is for people to decide",
}


def require_person(site: Site, deed: Deed, stream: str = "") -> None:
    """Raise ``RefusedError`` when a session asks for what it may not do (to ``stream``)."""
    asker = who_asks(site)
    if not isinstance(asker, Session) or not refused(asker, deed, stream):
        return
    if site.enabled:
        events.record(site, "refused-to-session", asker.stream, detail=deed.value, evidence={"about": stream})
    raise RefusedError(
        f"a session cannot {deed.value}", _HINTS.get(deed, "this is for people: do it in a terminal of your own")
    )
