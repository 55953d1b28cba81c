"""Walk and remove folders of any depth: somebody else's tree may be deeper than Python recurses, or than a path may be long."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path


def files_in(folder: Path, skip: Callable[[str], bool] = lambda _: False) -> Iterator[Path]:
    """Yield everything below ``folder`` that is no folder (links are not followed), leaving out folders ``skip`` names.

    Raises ``OSError`` where a folder cannot be read: what is in it is not known then, and it must not count as empty.
    """
    todo = [folder]
    while todo:
        with os.scandir(todo.pop()) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    yield Path(entry.path)
                elif not skip(entry.name):
                    todo.append(Path(entry.path))


def folders_with(folder: Path, name: str) -> Iterator[Path]:
    """Yield the folders at or below ``folder`` that hold an entry called ``name``, and look into none of these any further.

    Follows no link. Raises ``OSError`` where a folder cannot be read.
    """
    todo = [os.fspath(folder)]
    while todo:
        current = todo.pop()
        with os.scandir(current) as listed:
            entries = list(listed)
        if any(entry.name == name for entry in entries):
            yield Path(current)
        else:
            todo += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]


def copy_tree(source: Path, target: Path, skip: Callable[[str], bool] = lambda _: False) -> None:
    """Copy a folder: modes and times are kept, links stay links, what is neither file, folder nor link is left out.

    ``skip`` names entries of its top to leave out. What is at the target already stays. Raises ``OSError``.
    """
    todo = [(entry, target / entry.name) for entry in source.iterdir() if not skip(entry.name)]
    while todo:
        there, copy = todo.pop()
        if there.is_dir() and not there.is_symlink():
            copy.mkdir(parents=True, exist_ok=True)
            todo += [(entry, copy / entry.name) for entry in there.iterdir()]
        elif (there.is_symlink() or there.is_file()) and not os.path.lexists(copy):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(there, copy, follow_symlinks=False)


def remove_tree(folder: Path) -> bool:
    """Remove a folder with all that is in it, however deep; return whether it is gone. Follows no link."""
    try:
        shutil.rmtree(folder)
    except RecursionError:
        _remove_flattened(folder)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            _remove_flattened(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return not os.path.lexists(folder)


def _remove_flattened(folder: Path) -> None:
    """Remove a tree from its top: what is in a subfolder is moved up first, so no path becomes long."""
    count = 0
    with contextlib.suppress(OSError):
        while children := list(folder.iterdir()):
            for there in children:
                if there.is_symlink() or not there.is_dir():
                    there.unlink()
                    continue
                for inner in there.iterdir():
                    count += 1
                    inner.rename(folder / f".going-{os.getpid()}-{count}")
                there.rmdir()
        folder.rmdir()
