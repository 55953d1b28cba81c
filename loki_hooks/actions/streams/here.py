"""Which streams the caller's worktree is of: what is asked without a name is about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loki_hooks.domain.streams.record import StreamRecord
    from loki_hooks.domain.streams.state import State
    from loki_hooks.system.site import Site


def streams_here(state: State, site: Site) -> Iterator[StreamRecord]:
    """Yield the streams whose worktree the caller is in, oldest first; what is over may have been in it, too."""
    here = str(site.here)
    return (record for record in state.streams.values() if record.path == here)
