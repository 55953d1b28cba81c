"""Work of a stream that the integration branch has, and has reverted: merging again does not bring it back."""

from __future__ import annotations

import re

from loki_hooks.actions.context import Context
from loki_hooks.domain.streams.record import StreamRecord

_REVERTS = re.compile(r"^This reverts commit ([0-9a-f]{40,64})", re.MULTILINE)
_MOST = 200


def why_not_back(context: Context, record: StreamRecord, tip: str) -> str:
    """Return, as a sentence, what of the stream at ``tip`` was reverted, and what brings it back; '' for nothing.

    By what `git revert` writes into its message; it decides nothing.
    """
    git, target = context.git, context.integration_ref
    listed = git.maybe(
        *("log", "--no-show-signature", "--format=%x00%H%n%B", f"--max-count={_MOST}"),
        *("--fixed-strings", "--grep=This reverts commit", target, f"^{tip}"),
    )
    again = {commit for entry in _entries(listed) for commit in _REVERTS.findall(entry)}
    found = [
        entry.partition("\n")[0]
        for entry in _entries(listed)
        if entry.partition("\n")[0] not in again
        and any(_of(context, record, undone, tip) for undone in _REVERTS.findall(entry))
    ]
    if not found:
        return ""
    shown = " and ".join(commit[:9] for commit in found[:3])
    redo = " ".join(commit[:9] for commit in found)
    return (
        f"work of {record.name} was reverted on {context.integration} ({shown}), and merging does not bring it back: "
        f"`git revert {redo}` in its worktree, after a sync, does"
    )


def _entries(listed: str | None) -> list[str]:
    return [entry for entry in (listed or "").split("\0") if entry]


def _of(context: Context, record: StreamRecord, undone: str, tip: str) -> bool:
    """Whether the undone commit is the branch's own, or the merge that brought (part of) it."""
    git = context.git
    parents = (git.maybe("rev-list", "--parents", "--max-count=1", undone) or "").split()[1:]
    what = parents[1] if len(parents) == 2 else undone
    return git.is_ancestor(what, tip) and not (record.base and git.is_ancestor(what, record.base))
