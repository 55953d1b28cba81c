"""Bring the integration branch and its upstream together, where somebody pushed between our landing and our push.

Only where pushing is ours (`merge.push`), and where both only went on: what somebody took out of the one (by an amend, a
reset, a forced push) would come back from the other. What their merge gives is tested like all that lands.
"""

from __future__ import annotations

from loki_hooks.actions.context import Context
from loki_hooks.actions.landing.merge import LandingCommit, merge
from loki_hooks.actions.landing.signing import landing_commit
from loki_hooks.actions.landing.upstream import upstream_of
from loki_hooks.domain.reconcile.facts import Join
from loki_hooks.errors import LokiError
from loki_hooks.system.git.git import Git


def look_at_join(context: Context, tip: str, theirs: str) -> Join:
    """Return the merge of the integration branch at ``tip`` with its upstream at ``theirs``, or why there is none."""
    git, upstream = context.git, upstream_of(context)
    if _took_out(git, upstream.ref, theirs, tip) or _took_out(git, context.integration_ref, tip, theirs):
        return Join(problem="one of them was rewritten, so bring them together by hand")
    try:
        merged = merge(context, tip, theirs)
        if merged.conflicts:
            return Join(problem=f"they conflict in {', '.join(merged.conflicts[:5])}, so bring them together by hand")
        message = f"Merge {upstream.remote}/{upstream.branch} into {context.integration}\n"
        return Join(landing_commit(context, merged.tree, (tip, theirs), LandingCommit(message, {})), merged.tree)
    except LokiError as error:
        return Join(problem=f"they cannot be merged: {error.message}")


def _took_out(git: Git, ref: str, now: str, other: str) -> bool:
    """Whether ``other`` has what was in ``ref`` once and is not in it ``now``; also where its reflog cannot tell."""
    was = (git.maybe("rev-list", "--walk-reflogs", ref, "--") or "").split()
    if not was:
        return True
    was += filter(None, [git.commit_id(f"{ref}@{{{len(was)}}}")])  # where it was before the oldest entry
    lines = "".join(f"{commit}\n" for commit in (*was, f"^{now}"))
    gone = git.out("rev-list", "--ignore-missing", "--stdin", stdin=lines.encode()).split()
    return not set(gone).isdisjoint(git.out("rev-list", other, f"^{now}").split()) if gone else False
