"""The integration branch as somebody moved it past the gate: a fast-forward merge, `branch -f`, a plain commit.

No hook of git's can stop these. They are said and recorded, and never undone; what is pushed is gated in any case.
"""

from __future__ import annotations

from loki_hooks.actions.context import Context
from loki_hooks.actions.landing.upstream import upstream_of
from loki_hooks.domain.gates.results import Standing, standing
from loki_hooks.system.store import events, gate_results


def why_untested(context: Context) -> str:
    """Return how the integration branch stands where it has not passed the gate, as a sentence.

    '' where it has passed, has no gate, or is what its upstream has already.
    """
    tip = context.git.commit_id(context.integration_ref)
    how = _how(context, tip) if tip else ""
    return f"{context.integration} at {str(tip)[:9]} {how}" if how else ""


def record_untested(context: Context, old: str, new: str) -> None:
    """Record that the integration branch moved from ``old`` to ``new`` past the gate, if it did."""
    how = _how(context, new)
    if how:
        events.record(context.site, "moved-untested", commit=new, detail=how, evidence={"from": old})


def _how(context: Context, tip: str) -> str:
    config, git = context.config.in_force, context.git
    upstream = upstream_of(context).ref if config.gates else ""
    if not config.gates or (upstream and git.commit_id(upstream) == tip):
        return ""
    match standing(gate_results.seen(git, git.tree_id(tip), config.gates.values(), config)):
        case Standing.PASSED:
            return ""
        case Standing.FAILED:
            return "does not pass its gate: see test-results.json; a push of it is refused"
        case Standing.BLOCKED:
            return "is untested, as its gate could not be run: see test-results.json"
        case Standing.UNKNOWN:
            return "is untested: it is pushed only once it has passed its gate (`loki-hooks test main`)"
