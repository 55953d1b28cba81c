"""Locks of git that nobody alive holds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.domain.install.diagnosis import Cure, Finding, LockOwner, Repair, owner_of_lock
from loki_hooks.system.git.locks import look_for_owner, places_of
from loki_hooks.system.locks import RECONCILE_LOCK, holder_of_pass

if TYPE_CHECKING:
    from loki_hooks.actions.context import Context


_LOCKS = (
    "index.lock",
    "HEAD.lock",
    "config.lock",
    "config.worktree.lock",
    "packed-refs.lock",
    "shallow.lock",
    "ORIG_HEAD.lock",
    "MERGE_HEAD.lock",
    "FETCH_HEAD.lock",
)


# Locks -----------------------------------------------------------------------------------------------------


def check_locks(context: Context) -> list[Finding]:
    """git's lock files. They name no owner; one is left over only when nobody who lives can own it."""
    site = context.site
    places = places_of(site)
    found = _suspended(context)
    for path in lock_files(site.common):
        try:
            seen = path.lstat()
            owner, evidence = owner_of_lock(look_for_owner(path, places))
        except FileNotFoundError:
            continue
        if owner is LockOwner.DEAD:
            found.append(
                Finding(
                    "locks",
                    False,
                    f"{path} was left by a process that is gone",
                    evidence,
                    f"move it away: git refuses to work until then (mv {path} {path}.old)",
                    Repair(Cure.MOVE_LOCK_ASIDE, str(path), f"{seen.st_dev}:{seen.st_ino}"),
                )
            )
        elif owner is LockOwner.ALIVE:
            found.append(Finding("locks", True, f"{path} is held", evidence))
        else:
            found.append(
                Finding(
                    "locks",
                    False,
                    f"{path} stands in git's way",
                    evidence,
                    "see whether its owner lives; remove it when not",
                )
            )
    return found or [Finding("locks", True, "git has no lock files", f"none below {site.common}")]


def _suspended(context: Context) -> list[Finding]:
    holder = holder_of_pass(context.site)
    if holder is None or not holder.suspended:
        return []
    pid = holder.process.pid
    return [
        Finding(
            "locks",
            False,
            f"a loki-hooks pass is suspended, and nothing goes on until it does ({holder})",
            f"pid {pid} has {context.site.private / RECONCILE_LOCK} and is stopped",
            f"kill -CONT {pid} lets it go on, kill {pid} ends it",
        )
    ]


def lock_files(common: Path) -> list[Path]:
    """Return git's lock files of the repository and its worktrees, ref locks included."""
    found = []
    for git_dir in (common, *_admins(common)):
        found += [git_dir / name for name in _LOCKS if os.path.lexists(git_dir / name)]
        for base, _, names in os.walk(git_dir / "refs"):
            found += [Path(base, name) for name in sorted(names) if name.endswith(".lock")]
    return found


def _admins(common: Path) -> list[Path]:
    return sorted(path for path in (common / "worktrees").glob("*") if path.is_dir() and not path.is_symlink())
