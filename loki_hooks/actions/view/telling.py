"""Tell people what happens while they look on, whoever does it: this process, a session's end, a hook."""

from __future__ import annotations

from collections.abc import Callable

from loki_hooks.actions.context import Context
from loki_hooks.domain.events import sentence
from loki_hooks.system.site import Site
from loki_hooks.system.store import events


class Telling:
    """Says each event that is worth it once, in people's words; begins with what happens from now on."""

    def __init__(self, site: Site, say: Callable[[str], None], *, start: int | None = None) -> None:
        """``start``: the position in the log to begin at; by default its end."""
        self.site, self.say = site, say
        self.position = events.end(site) if start is None else start
        self._names: dict[str, str] = {}

    def go_on(self) -> None:
        """Say what has happened since the last time."""
        happened, self.position = events.read_since(self.site, self.position)
        if not happened:
            return
        context = Context(self.site)
        self._names |= {record.stream: record.name for record in context.store.read().streams.values()}
        for event in happened:
            line = sentence(event, self._names, context.integration)
            if line:
                self.say(line)
