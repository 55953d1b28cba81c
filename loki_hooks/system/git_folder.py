"""Which repository git would work on in a folder: told from files, before git is asked.

git that finds no ``.git`` in its folder goes up, and takes the repository around it. Ours never does: every call names
the folder's parent as a ceiling, and a call that writes proves first that the folder is the worktree that is meant:

    folder/.git (file)  →  <common git dir>/worktrees/<id>, whose ``gitdir`` names folder/.git again
    folder/.git (folder) is the common git dir itself
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

CEILING = "GIT_CEILING_DIRECTORIES"
_MAX_POINTER = 65_536


def with_ceiling(env: Mapping[str, str], folder: Path | str) -> str:
    """Return ``GIT_CEILING_DIRECTORIES`` that keeps git from going up from ``folder``; what the user has set stays.

    Ours comes first: git resolves no link in what follows an empty entry. It is a real path, so none has to be.
    """
    ours = os.path.dirname(os.path.realpath(folder))  # noqa: PTH120  text in, text out
    return os.pathsep.join(filter(None, (ours, env.get(CEILING, ""))))


def pointer(file: Path, prefix: str = "") -> Path | None:
    """Return where a pointer file of git's (``.git``, ``gitdir``, ``commondir``) leads, as a real path; None for none."""
    text = _start_of(file)
    if not text.startswith(prefix) or "\0" in text or not text.removeprefix(prefix):
        return None
    return Path(os.path.realpath(file.parent / text.removeprefix(prefix)))


def _start_of(file: Path) -> str:
    """Return what a regular file begins with; '' for anything else. A FIFO in its place would be waited for for ever."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        return ""
    with os.fdopen(handle, "rb") as opened:
        return opened.read(_MAX_POINTER).decode("utf-8", "surrogateescape").rstrip("\r\n")


def git_dir_at(folder: Path) -> Path | None:
    """Return the git dir that git takes in ``folder`` without going up, as a real path; None where there is none."""
    dot = folder / ".git"
    if dot.is_file():
        found = pointer(dot, "gitdir: ")
        return found if found is not None and _is_git_dir(found) else None
    return next((Path(os.path.realpath(place)) for place in (dot, folder) if _is_git_dir(place)), None)


def is_bare_place(folder: Path) -> bool:
    """Whether the folder is a git dir itself, so that git works in it as in a bare repository."""
    return not os.path.lexists(folder / ".git") and os.path.lexists(folder / "HEAD")


def _is_git_dir(place: Path) -> bool:
    shared = pointer(place / "commondir") or place
    return os.path.lexists(place / "HEAD") and (shared / "objects").is_dir() and (shared / "refs").is_dir()


def astray(folder: Path, common: Path | None = None) -> str:
    """Return '' where ``folder`` is a worktree of its own, of the repository ``common`` (None: of any); else why not."""
    git_dir = git_dir_at(folder)
    if git_dir is None:
        lost = os.path.lexists(folder / ".git")
        return f"{folder}/.git leads to no repository" if lost else f"there is no .git in {folder}"
    shared = pointer(git_dir / "commondir")
    if shared is not None:
        if pointer(git_dir / "gitdir") != Path(os.path.realpath(folder / ".git")) and not _names(git_dir, folder):
            return f"{folder}/.git leads to {git_dir}, which is another worktree's"
    elif (folder / ".git").is_file() and _belongs_elsewhere(git_dir, folder):
        return f"{folder}/.git leads to {git_dir}, which is another worktree's"
    if common is not None and (shared or git_dir) != Path(os.path.realpath(common)):
        return f"{folder}/.git leads to another repository, {shared or git_dir}"
    return ""


def _names(git_dir: Path, folder: Path) -> bool:
    """Whether the registration names the folder by another way to it (a link on the way, a file system without case)."""
    try:
        text = (git_dir / "gitdir").read_text("utf-8", "surrogateescape").strip()
        return (git_dir / text).parent.samefile(folder)
    except (OSError, ValueError):
        return False


def _belongs_elsewhere(git_dir: Path, folder: Path) -> bool:
    """Whether a git dir that is no registration is the main one of another folder.

    A submodule's says so in ``core.worktree``; of `git init --separate-git-dir` we recorded it when we were turned on.
    """
    worktree = config_value(git_dir, "worktree")
    said = Path(os.path.realpath(git_dir / worktree)) if worktree else pointer(git_dir / "loki" / "main")
    here = Path(os.path.realpath(folder))
    if said is not None:
        return said != here
    return git_dir.name == ".git" and git_dir.parent != here


def config_value(common: Path, key: str) -> str | None:
    """Return ``core.<key>`` of the repository's own configuration files.

    With ``extensions.worktreeConfig`` git keeps a bare repository's ``core.bare`` in ``config.worktree``.
    """
    lines: list[str] = []
    for name in ("config", "config.worktree"):
        with contextlib.suppress(OSError):
            lines += ["[]", *(common / name).read_text(encoding="utf-8", errors="surrogateescape").splitlines()]
    section = ""
    value = None
    for line in lines:
        text = line.strip()
        if text.startswith("["):
            section = text.strip("[]").strip().lower()
        elif section == "core" and text.partition("=")[0].strip().lower() == key:
            value = text.partition("=")[2].strip().strip('"')
    return value
