"""Look into a worktree: every fact that its removal depends on. What cannot be told is said so, and keeps it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from loki_hooks.domain.removal.classify import WorktreeFacts
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.errors import LokiError
from loki_hooks.system.files import read_plain
from loki_hooks.system.git.copies import how_landed
from loki_hooks.system.git.git import Git, WorktreeEntry, is_null, split_z
from loki_hooks.system.git.history import has_own_commits
from loki_hooks.system.git.operations import git_dir_of, operation_in
from loki_hooks.system.git.status import Care, entries
from loki_hooks.system.git.submodules import gitlinks
from loki_hooks.system.processes.alive import identify, is_alive
from loki_hooks.system.site import LOKI, Site
from loki_hooks.system.trees import files_in
from loki_hooks.system.worktrees.rebuilt import is_rebuilt, is_tools_own, repositories_with_work, work_in
from loki_hooks.system.worktrees.registrations import is_lost, why_away
from loki_hooks.system.worktrees.registry import lock_is_dead
from loki_hooks.system.worktrees.setup_made import left_by_setup, made_by_setup, mark_of

_PID = re.compile(r"\bpid[ :=]*(\d+)", re.IGNORECASE)


def look(
    site: Site,
    record: StreamRecord,
    worktrees: Sequence[WorktreeEntry],
    integration_ref: str,
    *,
    caches: Collection[str] = (),
    care: Care = Care.HIDDEN,
) -> WorktreeFacts:
    """Return the facts about a stream's worktree and branch. Raises nothing: what fails is named in ``unreadable``.

    ``worktrees`` are all that there are now; ``caches``: the user's patterns of ignored paths that tools rebuild.
    """
    try:
        return _look(site, record, worktrees, integration_ref, caches, care)
    except (LokiError, OSError) as error:
        return WorktreeFacts(unreadable=str(error), session_alive=is_alive(record.session))


def _look(
    site: Site,
    record: StreamRecord,
    worktrees: Sequence[WorktreeEntry],
    integration_ref: str,
    caches: Collection[str],
    care: Care,
) -> WorktreeFacts:
    git = Git(site.root)
    branch = f"refs/heads/{record.branch}"
    refs = git.refs(branch, "refs/stash")
    tip = refs.get(branch, "")
    inside = bool(tip) and git.is_ancestor(tip, integration_ref)
    own = has_own_commits(git, record.branch, record.base, tip, integration_ref, inside=inside)
    landed = how_landed(git, record.branch, record.base, tip, integration_ref, inside=inside, own=own)
    branch_facts = WorktreeFacts(
        own_commits=own,
        merged_by=landed,
        session_alive=is_alive(record.session) or is_alive(record.claim),
        stashes=_stashes(git, record.branch) if "refs/stash" in refs else (),
        # A copy of the work in the integration branch is a place where it is safe; what else the branch had is pinned.
        unreachable=() if inside or landed or not tip else _unreachable(git, tip, record.branch, integration_ref),
        folder=False,
    )
    path = Path(record.path)
    entry = next((w for w in worktrees if str(w.path) == record.path), None)
    lock = None if entry is None or entry.locked is None or lock_is_dead(entry.locked) else _lock_text(entry.locked)
    away = why_away(site, path) if record.path else ""
    if entry is None or away:
        lost = is_lost(site, path)  # else there is something to look into: nobody gives that up unseen
        return _with(branch_facts, lock=lock, away=away if lost else "", unreadable="" if lost else away)
    there = Git(path, of=site.common)
    uncommitted = entries(there, care=care, ignored=True)
    ignored = tuple(e.path for e in uncommitted if e.ignored)
    made = left_by_setup(path)
    head = "" if is_null(entry.head) else entry.head
    return _with(
        branch_facts,
        folder=True,
        is_main=path == site.main,
        modified=tuple(e.path for e in uncommitted if not e.untracked and not e.ignored),
        untracked=tuple(e.path for e in uncommitted if e.untracked and e.path not in made),
        precious=_precious(path, ignored, dict(record.copied), caches),
        processes=_processes(path),
        lock=lock,
        operation=operation_in(git_dir_of(path)),
        detached=_unreachable(git, head, "", integration_ref) if head and head != tip else (),
        submodule_work=submodule_work(path, caches),
        nested=tuple(str(w.path) for w in worktrees if path in w.path.parents),
        is_current=_is_current(path),
    )


def _lock_text(reason: str) -> str:
    """Return the reason of a lock that holds, with what became of a pid in it: a pid alone proves nothing."""
    found = _PID.search(reason)
    gone = found is not None and identify(int(found[1])) is None
    return f"{reason} (no process {found[1]} runs; `git worktree unlock` if it is yours)" if found and gone else reason


def _with(facts: WorktreeFacts, **more: object) -> WorktreeFacts:
    return WorktreeFacts(**{**facts.__dict__, **more})


def _precious(
    path: Path, ignored: tuple[str, ...], copied: Mapping[str, str], caches: Collection[str]
) -> tuple[str, ...]:
    """Return the ignored paths that no tool rebuilds, that are not ours, and no unchanged copy that we made."""
    found: list[str] = []
    made = made_by_setup(path)
    for name in ignored:
        if name.rstrip("/") == LOKI or name.startswith(f"{LOKI}/"):
            continue
        if is_rebuilt(path, name, caches):
            found += repositories_with_work(path, name)
            continue
        if made.get(name) and made[name] == mark_of(path / name):
            continue
        if _is_our_link(path / name, copied.get(name)):
            continue
        if name in copied and not (path / name).is_symlink():
            data = read_plain(path / name)
            if data is not None and hashlib.sha256(data).hexdigest() == copied[name]:
                continue
        if name.endswith("/") and _only_copies(path / name, path, copied, caches):
            continue
        found.append(name)
    return tuple(found)


def _is_our_link(path: Path, recorded: str | None) -> bool:
    """Whether a symbolic link is still as we made it (``environment.link``); nothing of what it leads to is looked at."""
    return recorded is not None and path.is_symlink() and recorded == f"link:{path.readlink()}"


def _only_copies(folder: Path, root: Path, copied: Mapping[str, str], caches: Collection[str]) -> bool:
    """Whether a wholly ignored folder holds nothing but caches, empty folders and unchanged copies of ours."""

    def skip(name: str) -> bool:
        return is_tools_own(name, caches)

    try:
        for path in files_in(folder, skip):
            name = path.relative_to(root).as_posix()
            if skip(path.name) or _is_our_link(path, copied.get(name)):
                continue
            data = None if path.is_symlink() else read_plain(path)
            if data is None or copied.get(name) != hashlib.sha256(data).hexdigest():
                return False
        inside = folder.relative_to(root).as_posix()
        return not repositories_with_work(root, f"{inside}/")
    except OSError:  # what cannot be looked into may be somebody's work
        return False


def _processes(path: Path) -> tuple[str, ...]:
    """Return the live processes whose working folder or open files are inside."""
    import psutil

    inside = str(path) + os.sep
    found = []
    for process in psutil.process_iter(["pid", "name"]):
        if process.pid == os.getpid():
            continue
        try:
            folder = process.cwd()
            hit = folder == str(path) or folder.startswith(inside)
            if not hit:
                hit = any(f.path.startswith(inside) for f in process.open_files())
        except (psutil.Error, OSError):
            continue
        if hit:
            found.append(f"{process.info['name']} (pid {process.pid})")
    return tuple(found)


def _unreachable(git: Git, commit: str, branch: str, integration_ref: str) -> tuple[str, ...]:
    """Return commits of ``commit`` that no other branch, remote-tracking branch, tag or the integration branch has."""
    but = [f"--exclude={branch}"] if branch else []  # the pattern goes without refs/heads/ (git-rev-list(1))
    listed = git.out(
        "rev-list", "--max-count=20", commit, "--not", integration_ref, *but, "--branches", "--remotes", "--tags"
    )
    return tuple(line[:12] for line in listed.split())


def _stashes(git: Git, branch: str) -> tuple[str, ...]:
    """Return the stashes that were made on the branch (`git stash` is one list for all worktrees)."""
    listed = git.maybe("stash", "list", "-z", "--format=%gd%x09%gs") or ""
    return tuple(
        entry.split("\t")[0]
        for entry in split_z(listed)
        if entry.partition("\t")[2].startswith((f"WIP on {branch}:", f"On {branch}:"))
    )


def submodule_work(path: Path, caches: Collection[str] = ()) -> tuple[str, ...]:
    """Return the submodules checked out in a worktree that hold something of their own, each with what it is."""
    found = []
    for name in gitlinks(Git(path)):
        there = path / name
        if not (there / ".git").exists():
            continue
        found += [f"{name} ({what}: {', '.join(seen[:2])})" for what, seen in work_in(there, caches).items()]
        found += [f"{name}/{deeper}" for deeper in submodule_work(there, caches)]
    modules = git_dir_of(path) / "modules"
    if modules.is_dir() and not gitlinks(Git(path)):  # a clone that no path of the index belongs to any more
        found += sorted(entry.name for entry in modules.iterdir())
    return tuple(found)


def _is_current(path: Path) -> bool:
    try:
        here = Path.cwd()
    except OSError:
        return False
    return here == path or path in here.parents
