"""What a gate's run left ignored: it goes when the run is over, for it would decide what later runs see.

What set-up made stays, as it made it. So does what the gate names in ``keep`` (patterns of gitignore(5)).
The note of a run that is on is in the gate worktree's git dir:

    loki-gate-ignored    {"keep": [pattern, …], "before": {submodule, '' for the worktree itself: [ignored path, …]}}

What is left ignored when the run is over is noted, too: what is there beside it when the next one begins is nobody's of ours.

    loki-gate-left       {submodule, '' for the worktree itself: [ignored path, …]}
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from loki_hooks.domain.worktrees.caches import is_cache
from loki_hooks.system.files import entries, write_atomic
from loki_hooks.system.git.git import Git, split_z
from loki_hooks.system.git.operations import git_dir_of
from loki_hooks.system.git.submodules import checked_out
from loki_hooks.system.json import dump_json, read_json
from loki_hooks.system.site import LOKI
from loki_hooks.system.worktrees.fresh_checkout import open_up
from loki_hooks.system.worktrees.setup_made import files_in, forget_made, ignored_paths, made_by_setup, mark_of

_NOTE, _LEFT = "loki-gate-ignored", "loki-gate-left"
_AT_ONCE = 500
"""So many paths are named in one command line."""


def note_of_run(worktree: Path) -> Path:
    """Return where the note of a gate worktree is; it is there while a run is on, or what it left could not be removed."""
    return git_dir_of(worktree) / _NOTE


def note_what_is_there(worktree: Path, keep: Sequence[str]) -> None:
    """Remember what is ignored in a gate worktree now that its run begins."""
    before = {name: sorted(ignored_paths(folder)) for name, folder in _repositories(worktree)}
    write_atomic(note_of_run(worktree), dump_json({"keep": list(keep), "before": before}))


Made = Mapping[str, Mapping[str, tuple[int, int]] | None]
"""The files of all that set-up made, as they were when a command began; None for what is too large to look at."""


def what_setup_made(worktree: Path) -> Made:
    return {name: files_in(worktree / name) for name in made_by_setup(worktree)}


def remove_what_came(worktree: Path, made: Made | None = None) -> None:
    """Remove what is ignored and was not there when the run began that is noted, if one is.

    ``made``: what set-up had made then (None: whoever knew was killed). Files that came into it go, too; where others are not as
    they were, set-up is done again. Where something cannot be removed the note stays: nothing may be tested there.
    """
    note = note_of_run(worktree)
    value = read_json(note)
    clean = True
    if isinstance(value, dict) and isinstance(value.get("before"), dict) and isinstance(value.get("keep"), list):
        keep = [word for pattern in value["keep"] for word in ("-e", str(pattern))]
        for name, folder in _repositories(worktree):
            known = value["before"].get(name)
            there = {*(known if isinstance(known, list) else ()), *(made_by_setup(worktree) if not name else ())}
            came = [path for path in sorted(ignored_paths(folder) - there) if path.partition("/")[0] != LOKI]
            for start in range(0, len(came), _AT_ONCE):
                clean = _clean(folder, keep, came[start : start + _AT_ONCE]) and clean
        clean = _put_back_set_up(worktree, keep, made) and clean
    if clean:
        note.unlink(missing_ok=True)


def _put_back_set_up(worktree: Path, keep: Sequence[str], made: Made | None) -> bool:
    """Have what set-up made be as it was; return whether that worked."""
    clean = True
    spoilt = []
    for name, mark in made_by_setup(worktree).items():
        before = made.get(name) if made is not None else None
        after = files_in(worktree / name) if before is not None else None
        if before is None or after is None:
            if made is None and mark and mark_of(worktree / name) != mark:
                spoilt.append(name)
            continue
        came = [f"{name.rstrip('/')}/{path}" for path in sorted(after.keys() - before.keys())]
        for start in range(0, len(came), _AT_ONCE):
            clean = _clean(worktree, keep, came[start : start + _AT_ONCE]) and clean
        if any(after.get(path) != seen for path, seen in before.items()):
            spoilt.append(name)
    if spoilt:
        forget_made(worktree, spoilt)
    return clean


def note_what_is_left(worktree: Path) -> None:
    """Remember what is ignored in a gate worktree now that nothing of ours runs in it."""
    left = {name: sorted(ignored_paths(folder)) for name, folder in _repositories(worktree)}
    write_atomic(git_dir_of(worktree) / _LEFT, dump_json(left))


def unknown_ignored(worktree: Path, *, sweep: bool = True) -> tuple[str, ...]:
    """Return what is ignored and was not there when our last run was over, but for what tools rebuild (``sweep``: it goes)."""
    noted = read_json(git_dir_of(worktree) / _LEFT)
    if not isinstance(noted, dict):
        return ()  # nothing of ours ran there yet, or that of an earlier release
    found: list[str] = []
    for name, folder in _repositories(worktree):
        left = noted.get(name)
        known = tuple(str(path) for path in left) if isinstance(left, list) else ()
        new = [path for path in sorted(ignored_paths(folder)) if not _covered(path, known)]
        caches = [path for path in new if is_cache(path)]
        if caches and sweep:
            _clean(folder, (), caches)
        found += [f"{name}/{path}".lstrip("/") for path in new if path not in caches]
    return tuple(found)


def _covered(path: str, known: Sequence[str]) -> bool:
    """Whether an ignored path, or what it is part of or holds, is known. git shows a folder as one where it ignores all of it."""
    return path.partition("/")[0] == LOKI or any(
        path == other or (other.endswith("/") and path.startswith(other)) or other.startswith(path) for other in known
    )


def remove_sockets(worktree: Path) -> None:
    """Remove sockets and FIFOs from folders with tracked files: git sees none of them, and the next server would fail on them.

    Folders without tracked files go as a whole, with all that is in them.
    """
    tracked = split_z(Git(worktree).out("ls-files", "-z"))
    for folder in {worktree, *((worktree / name).parent for name in tracked)}:
        for entry in entries(folder):
            if entry.is_symlink() or entry.is_file() or entry.is_dir():
                continue
            with contextlib.suppress(OSError):
                Path(entry.path).unlink()


def _clean(folder: Path, keep: Sequence[str], paths: Sequence[str]) -> bool:
    words = (
        "clean",
        "-d",
        "-x",
        "--force",
        "--force",
        "--quiet",
        *keep,
        "--",
        *(f":(top,literal){path}" for path in paths),
    )
    git = Git(folder)
    if git.run(*words, timeout=1800).returncode == 0:
        return True
    for path in paths:
        open_up(folder / path)
    return git.run(*words, timeout=1800).returncode == 0


def _repositories(worktree: Path, name: str = "") -> Iterator[tuple[str, Path]]:
    """Yield the worktree as '', and its submodules, nested ones too, by their paths."""
    folder = worktree / name
    yield name, folder
    for inside in checked_out(folder):
        yield from _repositories(worktree, inside.relative_to(worktree).as_posix())
