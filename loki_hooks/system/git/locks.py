"""Who could own a lock file of git's: such a file names nobody, so the process table must answer.

A lock file is made by its owner, so it has the owner's user id: only processes of that user are asked. What runs on
another machine (a network file system) or in another container is not in our process table; the first is recognised
and then nothing is proved, the second cannot be.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.domain.install.diagnosis import LockFacts
from loki_hooks.system.git.git import Git, list_worktrees

if TYPE_CHECKING:
    import psutil

    from loki_hooks.system.site import Site

_REMOTE = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "fuse.sshfs",
    "afs",
    "ceph",
    "lustre",
    "glusterfs",
    "virtiofs",
    "vboxsf",
    "ncpfs",
)
_MOUNTS = Path("/proc/self/mountinfo")


def places_of(site: Site) -> tuple[Path, ...]:
    """Return the folders that belong to the repository: git dir, main and linked worktrees."""
    found = [site.common, *([site.main] if site.main else [])]
    found += [entry.path for entry in list_worktrees(Git(site.root))]
    return tuple(dict.fromkeys(found))


def look_for_owner(path: Path, places: Sequence[Path]) -> LockFacts:
    """Return who alive could own the lock file. Raises ``OSError`` when it is gone."""
    import psutil

    owner = path.lstat().st_uid
    open_by, git_here = [], []
    unseen = ""
    if is_remote(path):
        unseen = "it is on a network file system: its owner may be on another machine"
    elif owner != os.geteuid() and os.geteuid() != 0:
        unseen = f"it belongs to another user (uid {owner}), whose processes cannot be looked into"
    for process in psutil.process_iter(["pid", "name"]):
        if process.pid == os.getpid():
            continue
        try:
            if process.status() == psutil.STATUS_ZOMBIE or owner not in process.uids():
                continue
            words = f"{process.info['name']} (pid {process.pid})"
            if _has_open(process, path):
                open_by.append(words)
            elif _is_git(process) and _works_here(process, places):
                git_here.append(words)
        except psutil.NoSuchProcess:
            continue
        except (psutil.Error, OSError):
            if _is_git(process):
                git_here.append(f"pid {process.pid}, which cannot be looked into")
    return LockFacts(tuple(open_by), tuple(git_here), unseen)


def git_at_work(site: Site) -> tuple[str, ...]:
    """Return the live git processes that work in the repository, or cannot be shown to work elsewhere."""
    return look_for_owner(site.common, places_of(site)).git_here


def _has_open(process: psutil.Process, path: Path) -> bool:
    return any(file.path == str(path) for file in process.open_files())


def _is_git(process: psutil.Process) -> bool:
    name = str(process.info.get("name") or "")
    return name == "git" or name.startswith("git-")


def _works_here(process: psutil.Process, places: Iterable[Path]) -> bool:
    """Whether its folder, arguments or environment name the repository."""
    texts = [process.cwd(), *process.cmdline()]
    env = process.environ()
    texts += [env.get(name, "") for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE")]
    return any(_inside(text, str(place)) for text in texts for place in places)


def _inside(text: str, place: str) -> bool:
    at = text.find(place)
    return at >= 0 and text[at + len(place) : at + len(place) + 1] in {"", "/"}


def is_remote(path: Path) -> bool:
    """Return whether the path is on a file system that other machines may write to (Linux: proc(5), mountinfo)."""
    best, kind = "", ""
    real = os.path.realpath(path)
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, rest = before.split(), after.split()
        if len(fields) < 5 or not rest:
            continue
        point = fields[4].replace("\\040", " ")
        if len(point) >= len(best) and (real == point or real.startswith(point.rstrip("/") + "/")):
            best, kind = point, rest[0]
    return kind.startswith(_REMOTE)
