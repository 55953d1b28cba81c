"""The untracked files that worktrees get from the main one: copied or linked, recorded, never staged."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from loki_hooks.errors import BadInputError, LokiError
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.git.git import Git
from loki_hooks.system.locks import hold
from loki_hooks.system.site import LOKI, ensure_loki
from loki_hooks.system.worktrees.globs import Tree


def to_copy(main: Path, worktree: Path, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the paths of the main worktree's untracked files that match and that the worktree does not have yet.

    Only regular files that git does not track there; nothing is followed out of either folder.
    Raises ``BadInputError`` for a pattern that leads out.
    """
    _refuse_outside("environment.copy", patterns)
    if not patterns:
        return ()
    tree = Tree(main)
    found = []
    for name in tree.matches(patterns):
        source, target = main / name, worktree / name
        plain = source.is_file() and not source.is_symlink() and not os.path.lexists(target) and "\n" not in name
        if plain and not _leads_out(target, worktree):
            found.append(name)
    tracked = tree.tracked(found)
    return tuple(name for name in found if name not in tracked)


def copy_files(main: Path, worktree: Path, names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Copy the files, mode kept, owner where we may; return (path, sha256) of each copied one.

    They are written in the worktree's own ``.loki/``, which git ignores, and then moved: whoever is killed in between
    leaves nothing that could be committed.
    """
    copied = []
    holding = worktree / LOKI / f".copy-{os.getpid()}"
    ensure_loki(worktree / LOKI)
    for name in names:
        source, target = main / name, worktree / name
        data = read_plain(source)
        if data is None:
            continue
        seen = source.stat()
        write_atomic(holding, data, mode=0o600)
        try:
            with contextlib.suppress(PermissionError):
                os.chown(holding, seen.st_uid, seen.st_gid)
            holding.chmod(stat.S_IMODE(seen.st_mode) & 0o777)
            target.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(target):
                continue
            holding.rename(target)
        except OSError as error:
            raise LokiError(f"cannot copy {name} into {worktree}: {error.strerror or error}") from error
        finally:
            holding.unlink(missing_ok=True)
        copied.append((name, hashlib.sha256(data).hexdigest()))
    return tuple(copied)


LINKED = "link:"
"""Stands before a symbolic link's target where a copied file's hash would be."""


def to_link(main: Path, worktree: Path, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the paths of the main worktree's untracked files and folders that match and the worktree does not have.

    A folder with another worktree in it is not one of them. Raises ``BadInputError`` for a pattern that leads out.
    """
    _refuse_outside("environment.link", patterns)
    tree = Tree(main)
    names = [
        name
        for name in tree.matches(patterns)
        if "\n" not in name and not os.path.lexists(worktree / name) and not _leads_out(worktree / name, worktree)
    ]
    tracked = tree.tracked(names)
    named = {pattern.strip("/") for pattern in patterns}
    found: list[str] = []
    for name in names:
        if any(name.startswith(f"{other}/") for other in found):
            continue  # comes along with the folder that it is in
        if name not in tracked and not tree.holds_others(name, named=name in named):
            found.append(name)
    return tuple(found)


def link_files(main: Path, worktree: Path, names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Make symbolic links to the main worktree's files and folders; return (path, ``link:`` and its target) of each."""
    linked = []
    for name in names:
        target = worktree / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(main / name)
        except FileExistsError:
            continue
        except OSError as error:
            raise LokiError(f"cannot link {name} into {worktree}: {error.strerror or error}") from error
        linked.append((name, f"{LINKED}{main / name}"))
    return tuple(linked)


def _refuse_outside(key: str, patterns: Iterable[str]) -> None:
    for pattern in patterns:
        if pattern.startswith("/") or ".." in pattern.split("/"):
            raise BadInputError(
                f"{key}: {pattern!r} leads out of the repository",
                "name files below its root, such as .env or config/*.env",
            )


def _leads_out(path: Path, root: Path) -> bool:
    """Whether a folder between ``root`` and ``path`` is a symbolic link."""
    return any(parent.is_symlink() for parent in path.parents if parent != root and parent.is_relative_to(root))


EXCLUDED_BY_US = "# copied into worktrees by loki-hooks: never to be committed"
"""Stands before each line of ours in ``info/exclude``."""


def exclude(worktree_git: Git, common: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    """Keep files out of git also where the repository's ignore rules do not; return those that cannot be kept out.

    ``info/exclude`` is one file for all worktrees; a line is added only for a name that git would show here. A file
    that some branch tracks stays tracked there: ignore rules do not speak of tracked files.
    """
    shown = _shown(worktree_git, names)
    if not shown:
        return ()
    _exclude_lines(common, [f"/{_literal(name)}" for name in shown])
    return _shown(worktree_git, shown)


def exclude_worktree(main: Path, common: Path, worktree: Path) -> None:
    """Keep a worktree that is inside the main one out of git there: `git add -A` would commit a pointer to it.

    The folder that it is in is left out where that is for worktrees only, so that there is one line for all of them.
    """
    git = Git(main)
    inside = worktree.relative_to(main)
    if not _shown(git, (f"{inside.as_posix()}/",)):
        return
    above = inside.parent.as_posix()
    shared = above != "." and not git.out("ls-files", "--", f":(literal){above}")
    _exclude_lines(common, [f"/{_literal(above if shared else inside.as_posix())}/"])


def _exclude_lines(common: Path, wanted: Sequence[str]) -> None:
    path = Path(os.path.realpath(common / "info" / "exclude"))
    with hold(common / "loki" / "exclude.lock"):  # many spawns at once
        text = path.read_text(encoding="utf-8", errors="surrogateescape") if path.is_file() else ""
        have = set(text.splitlines())
        lines = [line for line in wanted if line not in have]
        if lines:
            mode = stat.S_IMODE(path.stat().st_mode) if path.is_file() else 0o644
            added = "".join(f"{EXCLUDED_BY_US}\n{line}\n" for line in lines)
            write_atomic(path, text + ("" if text.endswith("\n") or not text else "\n") + added, mode)


def unexclude(common: Path) -> bool:
    """Take our lines out of ``info/exclude`` again; return whether there were any."""
    path = Path(os.path.realpath(common / "info" / "exclude"))
    if not path.is_file():
        return False
    lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines(keepends=True)
    kept = [
        line
        for at, line in enumerate(lines)
        if line.rstrip("\n") != EXCLUDED_BY_US and (at == 0 or lines[at - 1].rstrip("\n") != EXCLUDED_BY_US)
    ]
    if len(kept) == len(lines):
        return False
    write_atomic(path, "".join(kept), stat.S_IMODE(path.stat().st_mode))
    return True


def _shown(git: Git, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(n for n in names if not git.ok("check-ignore", "-q", "--no-index", "--", n))


def _literal(name: str) -> str:
    """Return the pattern of gitignore(5) that means exactly this name."""
    escaped = re.sub(r"([\\*?\[])", r"\\\1", name)
    return f"{escaped[:-1]}\\ " if escaped.endswith(" ") else escaped
