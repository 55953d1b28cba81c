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
