"""Clean up: what may go goes, and of every other stream is said why it stays."""

from __future__ import annotations

from loki_hooks.actions.consent import require_person
from loki_hooks.actions.context import Context
from loki_hooks.actions.reconcile.run import reconcile
from loki_hooks.actions.removal.retire import clean_stream, judge_all
from loki_hooks.domain.asker import Deed
from loki_hooks.domain.reconcile.outcome import Went
from loki_hooks.domain.reconcile.removal import Clean
from loki_hooks.domain.removal.classify import Removal
from loki_hooks.errors import LokiError
from loki_hooks.system.locks import hold_pass
from loki_hooks.system.site import Site

Removals = list[tuple[str, Removal]]
_PATIENCE = 30.0


def would_go(site: Site) -> Removals:
    """Return of each stream whether clean-up would remove it, and why (not). Changes nothing."""
    return [(judged.record.stream, judged.removal) for judged in judge_all(Context(site))]


def clean_up(site: Site) -> Removals:
    """Remove what may go; return of each stream whether it went, and why (not). Raises ``LokiError``."""
    require_person(site, Deed.CLEAN_UP)
    removals = [  # the pass takes what it may by itself
        (taken.step.stream, Removal(True, (taken.outcome.reason,)))
        for taken in reconcile(site, wait=_PATIENCE).steps
        if isinstance(taken.step, Clean) and taken.outcome.how is Went.DONE
    ]
    context = Context(site)
    judged = judge_all(context)
    with hold_pass(site) as lock:
        for one in judged:
            removal = one.removal
            if removal.remove:
                try:
                    removal = clean_stream(context, lock, one.record)
                except LokiError as error:
                    removal = Removal(False, (error.message,))
            removals.append((one.record.stream, removal))
    return removals
