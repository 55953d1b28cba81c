"""Copies that share their blocks with the original (reflinks), where the file system can: btrfs, XFS, bcachefs, …

A folder of many gigabytes comes along in moments and takes no room. Where blocks cannot be shared nothing is copied at
all: what is cloned is only what a tool would make again (``domain/worktrees/setup_plan.py``, ``warm``).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
from pathlib import Path

_FICLONE = 0x40049409


def can_share(source: Path, folder: Path) -> bool:
    """Return whether files of the folder ``source`` can be cloned into ``folder``. Leaves nothing there."""
    if not hasattr(os, "O_TMPFILE") or source.stat().st_dev != folder.stat().st_dev:
        return False
    probe = next(
        (
            Path(base, name)
            for base, _, names in os.walk(source)
            for name in names
            if stat.S_ISREG(Path(base, name).lstat().st_mode) and Path(base, name).lstat().st_size
        ),
        None,
    )
    if probe is None:
        return False
    try:
        target = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    except OSError:
        return False
    try:
        _share(probe, target)
    except OSError:
        return False
    finally:
        os.close(target)
    return True


def clone_folder(source: Path, target: Path, holding: Path) -> bool:
    """Clone the folder to ``target``, which must not exist, by way of ``holding``; return whether that was done.

    Times and modes are kept; links stay links; what is neither file, folder nor link is left out. Whoever is killed
    leaves only ``holding``.
    """
    shutil.rmtree(holding, ignore_errors=True)
    if os.path.lexists(target) or not can_share(source, holding.parent):
        return False
    try:
        _clone(source, holding)
        holding.rename(target)
    except OSError:
        return False
    finally:
        shutil.rmtree(holding, ignore_errors=True)
    return True


def _clone(source: Path, target: Path) -> None:
    target.mkdir()
    with os.scandir(source) as entries:
        for entry in entries:
            there, here = Path(entry.path), target / entry.name
            if entry.is_symlink():
                here.symlink_to(there.readlink())
            elif entry.is_dir(follow_symlinks=False):
                _clone(there, here)
            elif entry.is_file(follow_symlinks=False):
                handle = os.open(here, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                try:
                    if entry.stat(follow_symlinks=False).st_size:
                        _share(there, handle)
                finally:
                    os.close(handle)
                shutil.copystat(there, here)
    with contextlib.suppress(OSError):
        shutil.copystat(source, target)


def _share(source: Path, target: int) -> None:
    handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.ioctl(target, _FICLONE, handle)
    finally:
        os.close(handle)
