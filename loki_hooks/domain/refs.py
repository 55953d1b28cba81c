"""Every ref of ours: names, prefixes, and the trailers by which commits of ours are known."""

from __future__ import annotations

PROCESSED = "refs/loki/processed"
"""The tip of the integration branch whose consequences were drawn last."""
TRAIN = "refs/loki/train"
"""The train under way: base, cars, tips and order are its first-parent chain."""
WITHOUT = "refs/loki/rest/"
"""By car, the train without it, while a culprit is looked for."""
GATES = "refs/loki/gates/"
"""Gate results: ``<tree>/<gate hash>`` names a JSON blob."""
BASE = "refs/loki/base/"
"""By stream, the commit that it began on."""
TRASH = "refs/loki/trash/"
"""``<stream>/<time>``: the tip of what we removed, or a commit of what was uncommitted."""
PAST = "refs/loki/past/"
"""Where a branch or a worktree goes, its reflog goes, and with it the only way to what was amended or rebased away."""
SAFE = "refs/loki/safe/"
"""By stream, the newest snapshot of its live worktree."""
AWAY = "refs/loki/away/"
"""What only the registration of a stream's worktree that is away knows, in case git drops it (`gc.worktreePruneExpire`)."""
CONFLICTED = "refs/loki/conflicted/"
"""By stream, its tip as it was when it conflicted."""
TAGS_REF = "refs/loki/tags"
"""A blob that lists the tags which were told of."""
TAGS = "refs/tags/"

TIP_TRAILER = "Loki-Tip"
"""What a squashed car says of the stream's commit that it contains."""

PLAN_TRAILER = "Loki-Plan"
"""Of which plan the stream of a landing was: its source."""
PLAN_ITEM_TRAILER = "Plan-Item"
"""How that source calls what has landed."""


def conflict_ref(stream: str) -> str:
    """Return the ref that keeps a stream's tip as it was when it conflicted."""
    return f"{CONFLICTED}{stream}"


def base_ref(stream: str) -> str:
    """Return the ref of the commit that a stream began on."""
    return f"{BASE}{stream}"
