"""What can be broken in git's own things: leaked settings, locks of the dead, half-made worktrees, refs, patches."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.domain.gates.results import GateResult
from loki_hooks.domain.install.diagnosis import Cure, Finding, Repair, is_lost_work, owner_is_dead
from loki_hooks.system.files import parse_json, read_plain
from loki_hooks.system.git import patches
from loki_hooks.system.git.git import Git, list_worktrees, split_z
from loki_hooks.system.git.locks import git_at_work, look_for_owner, places_of
from loki_hooks.system.git_folder import astray
from loki_hooks.system.processes.run import identify
from loki_hooks.system.store.gate_results import PREFIX
from loki_hooks.system.worktrees.registrations import is_empty, moved_to, why_not_forget
from loki_hooks.system.worktrees.registry import lock_is_dead

if TYPE_CHECKING:
    from loki_hooks.actions.context import Context
    from loki_hooks.system.site import Site

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
_OID = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_PID = re.compile(r"\bpid[ :=]*(\d+)", re.IGNORECASE)


# Settings --------------------------------------------------------------------------------------------------


def check_settings(context: Context) -> list[Finding]:
    """``core.bare`` and ``core.worktree`` as a leaked GIT_DIR leaves them (a test's `git init` inside a hook)."""
    site = context.site
    config = site.common / "config"
    found = []
    if bare_is_damage(site):
        found.append(
            Finding(
                "repository",
                False,
                "core.bare was set in a repository with a work tree",
                f"{config} says bare, but {site.common.parent} has the files of {site.common / 'index'}: "
                "some program ran `git init` with the GIT_DIR that git exports into hooks",
                "git config core.bare false",
                Repair(Cure.UNSET_BARE, str(config)),
            )
        )
    elsewhere = worktree_is_damage(site)
    if elsewhere:
        found.append(
            Finding(
                "repository",
                False,
                f"core.worktree leads to {elsewhere}",
                f"{config} says so, but the files of {site.common / 'index'} are in {site.common.parent}",
                "git config --unset core.worktree",
                Repair(Cure.UNSET_WORKTREE, str(config), elsewhere),
            )
        )
    return found or [
        Finding(
            "repository", True, "no leaked GIT_DIR has changed the settings", f"core.bare and core.worktree in {config}"
        )
    ]


def bare_is_damage(site: Site) -> bool:
    """A bare ``.git`` whose index has files that stand beside it: nobody makes that on purpose."""
    return _setting(site, "core.bare") == "true" and site.common.name == ".git" and _has_files(site, site.common.parent)


def worktree_is_damage(site: Site) -> str:
    """Return where ``core.worktree`` leads when the index's files are not there but beside the ``.git``; else ''."""
    value = _setting(site, "core.worktree")
    if not value or site.common.name != ".git":
        return ""
    there = Path(os.path.realpath(site.common / value))
    if there == site.common.parent or _has_files(site, there) or not _has_files(site, site.common.parent):
        return ""
    return value


def _setting(site: Site, key: str) -> str:
    return Git(site.common).maybe("config", "--file", str(site.common / "config"), "--get", key) or ""


def _has_files(site: Site, folder: Path) -> bool:
    if not folder.is_dir() or not (site.common / "index").is_file():
        return False
    told = Git(folder).run(f"--git-dir={site.common}", f"--work-tree={folder}", "ls-files", "-z")
    return any(os.path.lexists(folder / name) for name in split_z(told.text))


# Locks -----------------------------------------------------------------------------------------------------


def check_locks(context: Context) -> list[Finding]:
    """git's lock files. They name no owner; one is left over only when nobody who lives can own it."""
    site = context.site
    places = places_of(site)
    found = []
    for path in lock_files(site.common):
        try:
            seen = path.lstat()
            dead, evidence = owner_is_dead(look_for_owner(path, places))
        except FileNotFoundError:
            continue
        if dead:
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
        elif "git is at work" in evidence or "open in" in evidence:
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


# Refs ------------------------------------------------------------------------------------------------------


def check_refs(context: Context) -> list[Finding]:
    """Refs that cannot be read, or whose object is gone; gate results of ours that cannot be understood."""
    site, git = context.site, context.git
    found = [_broken(git, site.common, name) for name in broken_refs(site.common)]
    listed = git.run("for-each-ref", "--format=%(objectname) %(refname)").text.splitlines()
    pairs = [(line.partition(" ")[0], line.partition(" ")[2]) for line in listed]
    known = patches.known_blobs(git, {oid for oid, _ in pairs})
    for oid, name in pairs:
        if oid not in known:
            repair = Repair(Cure.DELETE_RESULT, name, oid) if name.startswith(PREFIX) else None
            found.append(
                Finding(
                    "refs",
                    False,
                    f"{name} names an object that is not there",
                    f"git has no {oid}",
                    _last_good(git, site.common, name) or "fetch it from a remote that has it",
                    repair,
                )
            )
    found += [
        Finding(
            "refs",
            False,
            f"{name} is no gate result that can be read",
            f"the blob {oid} is none",
            "it will be made anew",
            Repair(Cure.DELETE_RESULT, name, oid),
        )
        for oid, name in unreadable_results(git, [(o, n) for o, n in pairs if n.startswith(PREFIX) and o in known])
    ]
    return found or [Finding("refs", True, "every ref can be read", f"{len(pairs)} refs, each with its object")]


def broken_refs(common: Path) -> Iterator[str]:
    """Yield the refs whose file holds neither an object id nor the name of another ref (after a crash: nothing)."""
    for base, _, names in os.walk(common / "refs"):
        for file in sorted(names):
            path = Path(base, file)
            if file.endswith(".lock") or path.is_symlink():
                continue
            text = _line(path)
            if not _OID.fullmatch(text) and not text.startswith("ref: "):
                yield path.relative_to(common).as_posix()


def _broken(git: Git, common: Path, name: str) -> Finding:
    repair = Repair(Cure.DELETE_RESULT, name) if name.startswith(PREFIX) else None
    return Finding(
        "refs",
        False,
        f"{name} cannot be read",
        f"{common / name} holds no object id",
        _last_good(git, common, name) or f"remove {common / name}, and make the ref again",
        repair,
    )


def _last_good(git: Git, common: Path, name: str) -> str:
    """Return how to bring the ref back to the last commit that its reflog has, '' when it has none."""
    lines = (read_plain(common / "logs" / name) or b"").decode("utf-8", "replace").splitlines()
    for line in reversed(lines):
        fields = line.split(" ", 2)
        if len(fields) > 1 and _OID.fullmatch(fields[1]) and git.commit_id(fields[1]):
            return f"its reflog ends with {fields[1]}: rm {common / name}; git update-ref {name} {fields[1]}"
    return ""


def unreadable_results(git: Git, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return those (object, ref) of gate results that are no gate result."""
    if not pairs:
        return []
    raw = git.run("cat-file", "--batch", stdin="".join(f"{oid}\n" for oid, _ in pairs).encode()).stdout
    found = []
    at = 0
    for oid, name in pairs:
        end = raw.index(b"\n", at)
        _, kind, size = raw[at:end].split()
        data = raw[end + 1 : end + 1 + int(size)]
        at = end + 2 + int(size)
        if kind != b"blob" or GateResult.from_json(parse_json(data)) is None:
            found.append((oid, name))
    return found


# Patches of hook frameworks ----------------------------------------------------------------------------------


def check_patches(context: Context) -> list[Finding]:
    """Unstaged changes that pre-commit or prek took away and, killed, never put back.

    They are offered, never applied: nothing can prove that whoever sits in that worktree wants them back now.
    """
    git = context.git
    kept = patches.found()
    blobs = patches.known_blobs(git, {name for patch in kept for name in (*patch.old, *patch.new)})
    trees = [entry.path for entry in list_worktrees(git) if not entry.bare and entry.path.is_dir()]
    found = []
    looked = 0
    for patch in kept:
        if not all(name in blobs or not name.strip("0") for name in patch.old):
            continue  # it is another repository's
        looked += 1
        for tree in trees:
            if is_lost_work(patches.look(patch, tree, blobs)):
                files = ", ".join(patch.files[:5])
                found.append(
                    Finding(
                        "patches",
                        False,
                        f"{patch.tool} was killed and left unstaged changes of {tree} in a patch",
                        f"{patch.path} ({files}): it applies, its changes are not in the worktree nor in git, process "
                        f"{patch.pid} is "
                        "gone, and the files have not been written since",
                        f"git -C {tree} apply --whitespace=nowarn {patch.path} (or remove the patch, if you do not want "
                        f"them back)",
                    )
                )
    return found or [
        Finding(
            "patches",
            True,
            "no hook framework was killed with somebody's changes in its hands",
            f"{looked} patches of this repository, of {len(kept)} in all",
        )
    ]
