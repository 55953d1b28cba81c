"""Worktrees whose registration and folder do not fit."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.actions.doctor.locks import _admins
from loki_hooks.domain.install.diagnosis import Cure, Finding, Repair
from loki_hooks.system.files import read_plain
from loki_hooks.system.git.locks import git_at_work
from loki_hooks.system.git_folder import astray
from loki_hooks.system.processes.alive import identify
from loki_hooks.system.worktrees.registrations import is_empty, moved_to, why_not_forget
from loki_hooks.system.worktrees.registry import lock_is_dead

if TYPE_CHECKING:
    from loki_hooks.actions.context import Context
    from loki_hooks.system.site import Site


_OID = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_PID = re.compile(r"\bpid[ :=]*(\d+)", re.IGNORECASE)


# Worktrees -------------------------------------------------------------------------------------------------


def check_worktrees(context: Context) -> list[Finding]:
    """Registrations without a folder, half-made ones, locks of the dead."""
    site = context.site
    found: list[Finding] = []
    for admin in _admins(site.common):
        found += _one(site, admin)
    return found or [
        Finding(
            "worktrees",
            True,
            "every registered worktree is there, and none is locked by the dead",
            f"{len(_admins(site.common))} linked, `git worktree list`",
        )
    ]


def _one(site: Site, admin: Path) -> list[Finding]:
    lock = read_plain(admin / "locked")
    reason = "" if lock is None else lock.decode("utf-8", "replace").strip()
    pointer = _line(admin / "gitdir")
    if not pointer or not (admin / "commondir").is_file() or not _line(admin / "HEAD").strip("0"):
        return _half_made(site, admin)
    path = Path(os.path.normpath(admin / pointer)).parent
    found = []
    if reason == "initializing":
        found += _initializing(site, path)
    elif lock is not None and lock_is_dead(reason):
        found.append(
            Finding(
                "worktrees",
                False,
                f"{path} is locked by a session that is over",
                f"no process has the pid and the start time in the reason: {reason}",
                f"git worktree unlock {path}",
                Repair(Cure.UNLOCK_WORKTREE, str(path), reason),
            )
        )
    elif lock is not None and (named := _PID.search(reason)) and identify(int(named[1])) is None:
        found.append(
            Finding(
                "worktrees",
                True,
                f"{path} is locked, and the process that its reason names is gone",
                f"there is no pid {named[1]} here: {reason}; it is not our lock",
                f"git worktree unlock {path}, if you know it to be over",
            )
        )
    if astray(path) and reason != "initializing":
        found.append(_gone(admin, path, locked=lock is not None and not lock_is_dead(reason)))
    return found


def _half_made(site: Site, admin: Path) -> list[Finding]:
    at_work = git_at_work(site)
    if at_work:
        return [Finding("worktrees", True, f"{admin} is being made", f"git is at work: {', '.join(at_work)}")]
    precious = [name for name in ("index", "logs/HEAD") if (admin / name).exists()]
    if precious:
        return [
            Finding(
                "worktrees",
                False,
                f"{admin} is a damaged registration",
                f"gitdir, commondir or HEAD is missing, but it has {', '.join(precious)}",
                'write what is missing (gitrepository-layout(5), "worktrees"), or keep a copy and remove it',
            )
        ]
    return [
        Finding(
            "worktrees",
            False,
            f"{admin} is a registration that was only begun",
            "gitdir, commondir or HEAD is missing, there is no index, and no live git process works in this repository",
            f"mv {admin} elsewhere",
            Repair(Cure.MOVE_ENTRY_ASIDE, str(admin)),
        )
    ]


def _initializing(site: Site, path: Path) -> list[Finding]:
    at_work = git_at_work(site)
    if at_work:
        return [Finding("worktrees", True, f"{path} is being made", f"git is at work: {', '.join(at_work)}")]
    return [
        Finding(
            "worktrees",
            False,
            f"{path} was half made: its `git worktree add` died",
            "its lock says `initializing`, and no live git process works in this repository",
            f"git worktree unlock {path}; then `git -C {path} status` shows what is missing in it",
            Repair(Cure.UNLOCK_WORKTREE, str(path), "initializing"),
        )
    ]


def _gone(admin: Path, path: Path, *, locked: bool) -> Finding:
    moved = moved_to(admin, path)
    if moved is not None:
        return Finding(
            "worktrees",
            False,
            f"the worktree {path} was moved",
            f"{moved / '.git'} points at {admin}",
            f"git worktree repair {moved}",
            Repair(Cure.RECONNECT_WORKTREE, str(moved), str(admin)),
        )
    if locked:
        return Finding(
            "worktrees",
            True,
            f"the worktree {path} is not there, and locked",
            "git keeps it: it may be on a disk that is not plugged in",
            f"git worktree unlock {path}, then remove it, if it is gone for good",
        )
    if not is_empty(path):
        return Finding(
            "worktrees",
            False,
            f"the folder {path} is no worktree any more",
            f"{astray(path)}; {admin} says that it is one",
            f"if its files are still that one: echo {shlex.quote(f'gitdir: {admin}')} > {shlex.quote(str(path / '.git'))}",
        )
    why = why_not_forget(admin, path) or "nothing in its registration would be lost, but its folder may be somewhere"
    return Finding(
        "worktrees",
        False,
        f"the worktree {path} is gone, or away",
        why,
        "bring its folder back, or name where it is: git worktree repair NEW-PATH. Deleted for good: `loki-hooks finish "
        f"NAME --abandon` for a stream, else `git worktree remove {path}`",
    )


def _line(path: Path) -> str:
    return (read_plain(path, 4096) or b"").decode("utf-8", "surrogateescape").partition("\n")[0].strip()
