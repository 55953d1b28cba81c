"""Every ref of ours: names, prefixes, and the trailers by which commits of ours are known."""

from __future__ import annotations

PROCESSED = "refs/loki/processed"


TRAIN = "refs/loki/train"
WITHOUT = "refs/loki/rest/"
TIP_TRAILER = "Loki-Tip"
"""What a squashed car says of the stream's commit that it contains."""


def conflict_ref(stream: str) -> str:
    """Return the ref that keeps a stream's tip as it was when it conflicted."""
    return f"refs/loki/conflicted/{stream}"


TRASH = "refs/loki/trash/"
PAST = "refs/loki/past/"
"""Where a branch or a worktree goes, its reflog goes, and with it the only way to what was amended or rebased away."""


SAFE = "refs/loki/safe/"


AWAY = "refs/loki/away/"
"""What only the registration of a stream's worktree that is away knows, in case git drops it (`gc.worktreePruneExpire`)."""


def base_ref(stream: str) -> str:
    return f"refs/loki/base/{stream}"


GATES = "refs/loki/gates/"
BASE = "refs/loki/base/"


TAGS_REF = "refs/loki/tags"
TAGS = "refs/tags/"
