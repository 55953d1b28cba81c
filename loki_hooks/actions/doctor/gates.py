"""Gate worktrees that no gate uses, and why: something in them is somebody's, or cannot be removed."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.domain.install.diagnosis import Finding
from loki_hooks.system.git.git import list_worktrees
from loki_hooks.system.locks import try_hold
from loki_hooks.system.worktrees.fresh_checkout import fresh_checkout
from loki_hooks.system.worktrees.run_made import note_of_run, unknown_ignored

if TYPE_CHECKING:
    from loki_hooks.actions.context import Context

_MOST = 9
"""More worktrees than any gate has."""


def check_gates(context: Context) -> list[Finding]:
    """Whether every gate worktree that is there can be used; one that a gate runs in is not looked at."""
    there = {entry.path for entry in list_worktrees(context.git)}
    found = []
    looked = 0
    for name in dict.fromkeys(gate.worktree for gate in context.config.in_force.gates.values()):
        for number in range(1, _MOST):
            path = context.worktree_of_gate(name, number)
            lock = try_hold(context.site.private / f"gate-{name}-{number}.lock") if path in there else None
            if lock is not None:
                with lock:
                    looked += 1
                    found += _look(context, path)
    found += _testing(context)
    return found or [Finding("gates", True, "every gate worktree can be used", f"{looked} looked at")]


def _look(context: Context, path: Path) -> list[Finding]:
    where = shlex.quote(str(path))
    if note_of_run(path).exists():
        return [
            Finding(
                "gates",
                False,
                f"what a gate's run left in {path} cannot be removed",
                "the next run tries again; until then another worktree is used",
                f"see `git -C {where} status --ignored` and remove it, or the worktree: git worktree remove --force {where}",
            )
        ]
    with fresh_checkout(path, context.site.private) as seen:
        changed = (*seen.changes(), *unknown_ignored(path, sweep=False))
    if not changed:
        return []
    return [
        Finding(
            "gates",
            False,
            f"{path} is not used by gates: it holds what no fresh checkout has",
            ", ".join(changed[:5]),
            f"move or commit it; if it is nobody's: git worktree remove --force {where}",
        )
    ]


def _testing(context: Context) -> list[Finding]:
    record = context.store.read().streams.get("testing")
    git, ref = context.git, context.integration_ref
    at = git.commit_id(f"refs/heads/{record.branch}") if record is not None and record.branch else None
    if record is None or at is None or git.commit_id(ref) is None or git.is_ancestor(at, ref):
        return []
    if at in git.run("rev-list", "--walk-reflogs", "--max-count=1000", ref, "--").text.split():
        return []  # the integration branch was rewritten: the next run has it follow
    branch, where = shlex.quote(record.branch), shlex.quote(record.path)
    return [
        Finding(
            "gates",
            True,
            f"{record.branch} has commits that {context.integration} has not: it stays where it is",
            f"{at[:12]}",
            f"merge them if they are somebody's; else: git -C {where} switch --detach && git branch -f {branch} {ref}",
        )
    ]
