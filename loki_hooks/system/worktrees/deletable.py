"""Whether all of a folder can be deleted. git deletes what it can, and stops: half a worktree is left then."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import stat
import sys
from pathlib import Path

_GET_FLAGS = 0x80086601
_IMMUTABLE_OR_APPEND_ONLY = 0x30
"""FS_IOC_GETFLAGS, FS_IMMUTABLE_FL and FS_APPEND_FL of linux/fs.h."""


def why_not_deletable(folder: Path) -> str:
    """Return '' where each file and folder can be deleted, else the first that cannot, and why. Changes nothing."""
    try:
        device = folder.lstat().st_dev
    except OSError:
        return ""
    todo = [os.fspath(folder)]
    while todo:
        current = todo.pop()
        found = _why_not(current, device) or (
            "" if os.access(current, os.W_OK | os.X_OK) else "no permission to write in it"
        )
        if found:
            return f"{current} ({found})"
        try:
            with os.scandir(current) as listed:
                entries = list(listed)
        except OSError as error:
            return f"{current} ({error.strerror})"
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                todo.append(entry.path)
            elif entry.is_file(follow_symlinks=False) and (why := _flagged(entry.path)):
                return f"{entry.path} ({why})"
    return ""


def _why_not(folder: str, device: int) -> str:
    if os.lstat(folder).st_dev != device:
        return "another file system is mounted there"
    return _flagged(folder)


def _flagged(path: str) -> str:
    if sys.platform != "linux":
        return ""
    flags = array.array("l", [0])
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if stat.S_ISREG(mode := os.fstat(handle).st_mode) or stat.S_ISDIR(mode):
                fcntl.ioctl(handle, _GET_FLAGS, flags)
        finally:
            os.close(handle)
    return "immutable: `chattr -i` takes that off" if flags[0] & _IMMUTABLE_OR_APPEND_ONLY else ""
