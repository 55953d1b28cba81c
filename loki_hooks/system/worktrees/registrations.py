"""Registrations: what git keeps of a linked worktree apart from its folder, in ``<common git dir>/worktrees/<id>``.

HEAD, the index, the reflog of HEAD, refs of its own and an operation that is under way lie there, not in the folder. So a
folder that is not in its place proves nothing: it may have been moved, its parent renamed, its disk unplugged. A
registration goes only when it holds nothing that is not elsewhere, or by a person's word; and it goes aside, to
``<common git dir>/loki/aside/``. (`git worktree prune` would delete everybody's.)
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from loki_hooks.domain.refs import AWAY, PAST, SAFE
from loki_hooks.errors import LokiError, RefusedError
from loki_hooks.system.clock import stamp
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.git.git import Git
from loki_hooks.system.git.identity import NOBODY
from loki_hooks.system.git.operations import operation_in
from loki_hooks.system.git_folder import astray, pointer
from loki_hooks.system.locks import hold
from loki_hooks.system.site import Site
from loki_hooks.system.worktrees.registry import is_half_made, lock_is_dead, registrations_of

_NOT_FOR_LONG = (AWAY, PAST, SAFE)
"""What only these have is about to expire, or to be let go: it is pinned anew."""
_OID = re.compile(rb"\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b")
_MOST_FOLDERS = 2000
_MOST_COMMITS = 500
_MOST_BYTES = 4 * 1024 * 1024


def registration_of(site: Site, path: Path) -> Path | None:
    """Return the registration that says that it is at ``path``; None for none."""
    return next(iter(registrations_of(site, path)), None)


def is_here(site: Site, path: Path) -> bool:
    """Return whether ``path`` is, at this moment, a worktree of this repository."""
    return os.path.isdir(path) and not astray(path, site.common)  # noqa: PTH112  a name that is too long is no folder, and no error


def why_away(site: Site, path: Path) -> str:
    """Return '' for a worktree that is in its place, or never was registered there; else where it may be."""
    if is_here(site, path):
        return ""
    admin = registration_of(site, path)
    if admin is None:
        known = os.path.lexists(path / ".git")
        return f"git does not know the folder {path} any more (`loki-hooks restore {path}`)" if known else ""
    moved = moved_to(admin, path)
    if moved is not None:
        return f"its worktree was moved to {moved} (`loki-hooks doctor --fix` tells git)"
    if is_empty(path):
        return f"its worktree is not in {path}: it was moved, unplugged or deleted"
    return f"{path} is not its worktree as it stands: {astray(path, site.common)}"


def is_lost(site: Site, path: Path) -> bool:
    """Return whether nothing of a registered worktree can be found. Only a person knows whether it is gone for good."""
    admin = registration_of(site, path)
    return admin is not None and is_empty(path) and moved_to(admin, path) is None


def is_empty(path: Path) -> bool:
    """Return whether nothing is at ``path``, or an empty folder (a disk that is not mounted leaves one)."""
    return not os.path.lexists(path) or (path.is_dir() and not path.is_symlink() and not any(path.iterdir()))


def moved_to(admin: Path, path: Path) -> Path | None:
    """Return where the worktree's folder is now, if that is sure: one folder, whose ``.git`` leads to the registration.

    Looked for beside its old place and, where its parent was renamed, below what stands beside that. Of two such folders
    one is a copy, and nobody can tell which.
    """
    wanted = Path(os.path.realpath(admin))
    found = [f for f in _places(path) if not f.is_symlink() and pointer(f / ".git", "gitdir: ") == wanted]
    return found[0] if len(found) == 1 and pointer(path / ".git", "gitdir: ") != wanted else None


def _places(path: Path) -> Iterator[Path]:
    if path.parent.is_dir():
        yield from _folders_in(path.parent)
    elif path.parent.parent.is_dir():
        yield from (folder / path.name for folder in _folders_in(path.parent.parent))


def _folders_in(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            found = [Path(e.path) for _, e in zip(range(_MOST_FOLDERS), entries, strict=False) if e.is_dir()]
    except OSError:
        return []
    return sorted(found)


def reconnect(admin: Path, folder: Path) -> None:
    """Tell git that the registration's worktree is in ``folder``, whose ``.git`` leads to it.

    (`git worktree repair` sees to every worktree, and writes a ``.git`` into the empty folder that stands in for a disk.)
    """
    old = (read_plain(admin / "gitdir") or b"").decode("utf-8", "surrogateescape").strip()
    dot = str(folder / ".git")
    text = dot if not old or Path(old).is_absolute() else os.path.relpath(dot, admin)
    write_atomic(admin / "gitdir", f"{text}\n".encode("utf-8", "surrogateescape"))


def give_pointer(admin: Path, folder: Path) -> None:
    """Write the ``.git`` of a folder that is known to be the registration's worktree and has lost it."""
    text = f"gitdir: {os.path.realpath(admin)}\n"
    write_atomic(folder / ".git", text.encode("utf-8", "surrogateescape"))


# What is in it ----------------------------------------------------------------------------------------------


def why_not_forget(admin: Path, path: Path, ours: str = "", *, pinned: bool = False) -> str:
    """Return '' when taking the registration away loses nothing, else what may be lost.

    ``ours``: a commit that we detached it at. ``pinned``: its commits are kept, so only a folder that may come back counts.
    """
    if not path.parent.is_dir():
        return f"{path.parent} is not there either: it may be on a disk that is not plugged in"
    moved = moved_to(admin, path)
    if moved is not None:
        return f"it was moved to {moved}"
    if not is_empty(path):
        return f"{path} holds files"
    if pinned:
        return ""
    operation = operation_in(admin)
    if operation:
        return f"a {operation} is in progress in it"
    git = Git(admin)
    head = _ask(git, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if not head:
        return "its HEAD is no commit"
    detached = not _ask(git, "symbolic-ref", "-q", "HEAD")
    if detached and head != ours and not _ask(git, "for-each-ref", "--count=1", "--contains", head):
        return f"its HEAD {head[:12]} is on no branch"
    if staged_tree(admin) not in {"", _ask(git, "rev-parse", "HEAD^{tree}")}:
        return "something is staged in it"
    if _ask(git, "for-each-ref", "--count=1", "refs/worktree", "refs/bisect", "refs/rewritten"):
        return "it has refs of its own"
    return ""


def _ask(git: Git, *words: str) -> str:
    return git.run(f"--git-dir={git.cwd}", *words).text.strip()


def staged_tree(admin: Path) -> str | None:
    """Return the tree of what is in the registration's index; '' where there is none, None where it makes no tree."""
    if not (admin / "index").is_file():
        return ""
    with tempfile.TemporaryDirectory(prefix="loki-index-") as folder:
        copy = shutil.copyfile(admin / "index", Path(folder, "index"))
        done = Git(admin).run(f"--git-dir={admin}", "write-tree", env={"GIT_INDEX_FILE": str(copy)})
    return done.text.strip() if done.returncode == 0 else None


def commits_in(git_dir: Path) -> list[str]:
    """Return the ids of objects that a worktree's git dir knows, the newest first: heads, reflogs, refs, operations."""
    git = Git(git_dir)
    said = [_ask(git, "rev-parse", "--verify", "--quiet", "HEAD")]
    said += _ask(git, "reflog", "show", "--format=%H", "HEAD", "--").split()
    refs = ("refs/worktree", "refs/bisect", "refs/rewritten")
    said += _ask(git, "for-each-ref", "--format=%(objectname)", *refs).split()
    for file in _texts(git_dir):
        said += [oid.decode() for oid in reversed(_OID.findall(read_plain(file, _MOST_BYTES) or b""))]
    return [oid for oid in dict.fromkeys(said) if oid.strip("0")]


def _texts(git_dir: Path) -> Iterator[Path]:
    """Yield the files of a worktree's own in its git dir that name objects (never what all worktrees share)."""
    own = {"logs", "refs", "rebase-merge", "rebase-apply", "sequencer"}
    for entry in sorted(git_dir.iterdir()):
        if entry.is_file() and (entry.name.isupper() or entry.name.endswith("_HEAD")):
            yield entry
        elif entry.name in own and entry.is_dir() and (git_dir / "commondir").is_file():
            yield from sorted(p for p in entry.rglob("*") if p.is_file())


def keeper_of(git: Git, known: Iterable[str], message: str, tree: str | None = "", head: str = "") -> str:
    """Return an empty commit that has as parents what of ``known`` no ref has; '' when a ref has it all.

    ``tree``: what was staged, on ``head``; kept the same way. The same commits make the same one, whenever.
    """
    ids = list(dict.fromkeys(known))
    listed = (
        git.out("cat-file", "--batch-check=%(objecttype) %(objectname)", stdin="\n".join(ids).encode()) if ids else ""
    )
    commits = [line.partition(" ")[2] for line in listed.splitlines() if line.startswith("commit ")][:_MOST_COMMITS]
    env = {**NOBODY, "GIT_AUTHOR_DATE": "@0 +0000", "GIT_COMMITTER_DATE": "@0 +0000"}
    words = (
        "rev-list",
        "--ignore-missing",
        "--stdin",
        "--not",
        "--single-worktree",
        *(f"--exclude={ref}*" for ref in _NOT_FOR_LONG),
        "--all",
    )
    lonely = set(git.out(*words, stdin="\n".join(commits).encode()).split()) if commits else set()
    parents = [commit for commit in commits if commit in lonely]
    if tree and git.commit_id(head) and tree != git.tree_id(head):
        parents.append(git.out("commit-tree", tree, "-p", head, "-m", "What was staged", env=env))
    if not parents:
        return ""
    empty = git.out("hash-object", "-w", "-t", "tree", "--stdin", stdin=b"")
    above = [word for commit in parents for word in ("-p", commit)]
    return git.out("commit-tree", empty, *above, "-F", "-", stdin=f"{message}\n".encode(), env=env)


# Taking it away ---------------------------------------------------------------------------------------------


def forget_missing(site: Site, path: Path, ours: str = "", *, pinned: bool = False) -> None:
    """Put aside the registration of a worktree that is not in ``path``, where nothing can be lost by it.

    Of this one only, and only when it is not locked. ``pinned``: the commits that only it knows are kept already. Raises
    ``RefusedError`` with what could be lost.
    """
    with hold(site.private / "worktrees.lock"):  # else what somebody is just making looks as if its folder were gone
        if is_here(site, path):
            return
        for admin in registrations_of(site, path):
            if is_half_made(admin):
                shutil.rmtree(admin, ignore_errors=True)
                continue
            lock = read_plain(admin / "locked")
            locked = lock is not None and not lock_is_dead(lock.decode("utf-8", "replace"))
            why = "it is locked" if locked else why_not_forget(admin, path, ours, pinned=pinned)
            if why:
                raise RefusedError(
                    f"a worktree is registered in {path}, and {why}",
                    "bring its folder back; if it was deleted for good, `loki-hooks finish NAME --abandon` keeps what git "
                    "still has of it, and `loki-hooks restore NAME` makes it anew",
                )
            set_aside(site, admin)


def set_aside(site: Site, path: Path) -> Path:
    """Move a registration, or what stood in a ``.git``'s place, into our own folder; return where it is."""
    folder = site.private / "aside"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{path.name.lstrip('.')}-{stamp()}"
    try:
        return Path(shutil.move(path, target))
    except OSError as error:
        raise LokiError(f"cannot move {path} aside: {error}", f"move it away, to {target}") from error
