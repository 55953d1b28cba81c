"""Keep commits that only a branch's reflog and a worktree's git dir know."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.system.worktrees.registrations import commits_in, is_here, keeper_of, registration_of, staged_tree


def pin_past(context: Context, record: StreamRecord, ref: str, more: Sequence[str] = ()) -> None:
    """Keep as ``ref`` the commits that only this branch's reflog and this worktree's git dir know, what is staged, and ``more``."""
    git, site, path = context.git, context.site, Path(record.path)
    known = (git.maybe("reflog", "show", "--format=%H", f"refs/heads/{record.branch}", "--") or "").split()
    admin = registration_of(site, path) if record.path else None
    staged, head = "", ""
    if admin is not None:
        known = [*commits_in(admin), *known]
        if not is_here(site, path):  # else it was looked at, and saved
            staged, head = staged_tree(admin) or "", known[0] if known else ""
    keeper = keeper_of(git, [*more, *known], f"What the reflogs of {record.stream} still knew", staged, head)
    if keeper and git.commit_id(ref) != keeper:
        git.update_ref(ref, keeper, None, record.branch)
