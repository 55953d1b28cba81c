"""Write blobs into several worktrees at once: a script of its own, so that every processor can write.

    python -I -S blob_writer.py PARENT JOB STATS WORKTREE...      < output of `git cat-file --batch`

``JOB`` holds a line for each blob, in the order in which they come: the octal mode of its index entry, a blank, its
path; lines end with NUL. Folders are there already and nothing else is: every file is made anew, never followed or
overwritten. ``STATS`` receives, for each worktree in turn, what an index entry stores of each file
(``domain/worktrees/index_file.py``). Where the file system can share blocks between files (FICLONE), large files do.

It ends, with status 1, at the first thing that is not as expected, and when its parent has gone.
"""

from __future__ import annotations

import os
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

_CHUNK = 1 << 20
_WORTH_SHARING = 1 << 16
_FICLONE = 0x40049409
_PACK = struct.Struct(">10I").pack
_FLAGS = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK_UP = 256
"""After so many blobs it is seen whether the parent is still there."""


def main(words: list[str]) -> int:
    parent, job, stats, *worktrees = words
    with open(job, "rb") as file:  # noqa: PTH123  pathlib is not light
        entries = [(int(line[:6], 8), line[7:]) for line in file.read().split(b"\0")[:-1]]
    roots = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in worktrees]
    folders, within = roots, b""
    found: list[list[bytes]] = [[] for _ in roots]
    sharing = Sharing()
    source = sys.stdin.buffer
    for number, (mode, path) in enumerate(entries):
        if number % _LOOK_UP == 0 and os.getppid() != int(parent):
            return 1
        folder, _, name = path.rpartition(b"/")
        if folder != within:  # entries come sorted: most of the time the next file is in the same folder
            if within:
                for handle in folders:
                    os.close(handle)
            folders = [os.open(folder, _FOLDER, dir_fd=root) for root in roots] if folder else roots
            within = folder
        header = source.readline().split()
        if len(header) != 3 or header[1] != b"blob":
            return 1
        size = int(header[2])
        if mode == 0o120000:
            target = source.read(size)
            if b"\0" in target or len(target) != size or not size:
                return 1
            for place, records in zip(folders, found, strict=True):
                os.symlink(target, name, dir_fd=place)
                records.append(_record(mode, os.stat(name, dir_fd=place, follow_symlinks=False)))
        elif size <= _CHUNK:
            _small(source.read(size), size, mode, name, folders, found, sharing)
        else:
            _large(source, size, mode, name, folders, found, sharing)
        if source.read(1) != b"\n":
            return 1
    with open(stats, "wb") as out:  # noqa: PTH123
        for records in found:
            out.write(b"".join(records))
    return 0


class Sharing:
    """Whether files can share blocks here; found out at the first that is worth it."""

    works = True

    def share(self, source: int, target: int) -> bool:
        if not self.works:
            return False
        try:
            import fcntl

            fcntl.ioctl(target, _FICLONE, source)
        except (OSError, ImportError):
            self.works = False
        return self.works


def _small(
    data: bytes, size: int, mode: int, path: bytes, folders: list[int], found: list[list[bytes]], sharing: Sharing
) -> None:
    if len(data) != size:
        raise EOFError
    permissions = 0o777 if mode & 0o100 else 0o666
    first = -1
    for folder, records in zip(folders, found, strict=True):
        handle = os.open(path, os.O_RDWR | _FLAGS, permissions, dir_fd=folder)
        if size and not (size >= _WORTH_SHARING and first >= 0 and sharing.share(first, handle)):
            written = os.write(handle, data)
            while written < size:
                written += os.write(handle, data[written:])
        records.append(_record(mode, os.fstat(handle)))
        if size >= _WORTH_SHARING and first < 0:
            first = handle
        else:
            os.close(handle)
    if first >= 0:
        os.close(first)


def _large(
    source: BinaryIO, size: int, mode: int, path: bytes, folders: list[int], found: list[list[bytes]], sharing: Sharing
) -> None:
    permissions = 0o777 if mode & 0o100 else 0o666
    handles = [os.open(path, os.O_RDWR | _FLAGS, permissions, dir_fd=folder) for folder in folders]
    # The first one whole; then the others share its blocks, or are copied from it.
    left = size
    while left:
        chunk = source.read(min(left, _CHUNK))
        if not chunk:
            raise EOFError
        left -= len(chunk)
        while chunk:
            chunk = chunk[os.write(handles[0], chunk) :]
    for handle in handles[1:]:
        if sharing.share(handles[0], handle):
            continue
        os.lseek(handles[0], 0, os.SEEK_SET)
        while chunk := os.read(handles[0], _CHUNK):
            while chunk:
                chunk = chunk[os.write(handle, chunk) :]
    for handle, records in zip(handles, found, strict=True):
        records.append(_record(mode, os.fstat(handle)))
        os.close(handle)


def _record(mode: int, seen: os.stat_result) -> bytes:
    """Return a file's stat data as an index entry has it; ``mode`` is the entry's own."""
    changed, modified = seen.st_ctime_ns, seen.st_mtime_ns
    return _PACK(
        changed // 1000000000 & 0xFFFFFFFF,
        changed % 1000000000,
        modified // 1000000000 & 0xFFFFFFFF,
        modified % 1000000000,
        seen.st_dev & 0xFFFFFFFF,
        seen.st_ino & 0xFFFFFFFF,
        mode,
        seen.st_uid,
        seen.st_gid,
        seen.st_size & 0xFFFFFFFF,
    )


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (OSError, EOFError) as problem:
        os.write(2, str(problem).encode("utf-8", "replace"))
        sys.exit(1)
