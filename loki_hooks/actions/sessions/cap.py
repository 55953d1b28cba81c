"""How many sessions may run now: read the snapshot, measure where it is missing or old, decide."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from loki_hooks.domain.sessions.cap import (
    CapDecision,
    Footprints,
    decide_cap,
    is_dynamic,
    lowered_for_memory,
    thresholds_of,
)
from loki_hooks.errors import LokiError

if TYPE_CHECKING:
    from loki_hooks.domain.config import Config
    from loki_hooks.system.site import Site


def current_cap(
    site: Site | None, config: Config, *, sample: bool = True, env: Mapping[str, str] | None = None
) -> CapDecision:
    """Return how many sessions may run now. ``env`` is this process's environment unless given.

    With the dynamic cap off nothing is read below ``.loki/``, nothing measured, no process started. With it on,
    ``sample`` allows to measure (some 0.2 s) and to rewrite the snapshot when that is missing or old; what goes
    wrong with that is a warning, and the decision is made from what is known. ``site`` None: no repository, so
    nothing is read or written.
    """
    knobs = os.environ if env is None else env
    if not is_dynamic(knobs):
        return decide_cap(knobs, None, config.session.max)
    from loki_hooks.system.store import resources

    snapshot = None if site is None else resources.read(site)
    warnings: list[str] = []
    if sample and (site is None or not resources.is_fresh(snapshot, resources.path_of(site))):
        thresholds, _ = thresholds_of(knobs)
        try:
            measured = resources.sample()
            snapshot = measured.to_json(thresholds)
            if site is not None:
                resources.write(site, measured, thresholds)
        except (LokiError, OSError) as error:
            warnings.append(f"the snapshot of the machine's load was not refreshed: {error}")
    decision = decide_cap(knobs, snapshot, config.session.max)
    if sample and site is not None and config.session.memory:
        try:
            decision = lowered_for_memory(decision, _footprints(site))
        except (LokiError, OSError) as error:
            warnings.append(f"the sessions' memory was not measured: {error}")
    return replace(decision, warnings=(*decision.warnings, *warnings))


def _footprints(site: Site) -> Footprints:
    from loki_hooks.actions.sessions.evidence import footprints
    from loki_hooks.system.store import resources
    from loki_hooks.system.store.state import StateStore

    records = [r for r in StateStore(site).read().streams.values() if not r.standing]
    return Footprints(footprints(records), resources.free_memory())
