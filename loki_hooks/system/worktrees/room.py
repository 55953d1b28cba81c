"""Whether the disk has room for more worktrees, before any is made.

What a checkout takes is estimated from the main worktree's index, which knows each file's size as it is on disk (so LFS
and line endings count right); without one, from the sizes of the blobs of the base. Objects and history are shared.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.domain.worktrees.index_file import bytes_needed, parse_index
from loki_hooks.errors import RefusedError
from loki_hooks.system.git.git import Git, split_z

if TYPE_CHECKING:
    from loki_hooks.system.site import Site

RESERVE = 64 * 1024 * 1024
"""Bytes that are to stay free on the disk beside what the files take."""


def require_room(site: Site, git: Git, base: str, paths: Iterable[Path]) -> None:
    """Raise ``RefusedError`` unless worktrees of ``base`` at ``paths`` fit on their disks."""
    each = bytes_of_checkout(site, git, base)
    places: Counter[tuple[int, Path]] = Counter()
    for path in paths:
        folder = path
        while not folder.is_dir():
            folder = folder.parent
        places[folder.stat().st_dev, folder] += 1
    wanted: Counter[int] = Counter()
    for (device, folder), count in places.items():
        wanted[device] += count
        needed, free = wanted[device] * each + RESERVE, shutil.disk_usage(folder).free
        if needed > free:
            raise RefusedError(
                f"there is no room for {wanted[device]} worktree{'s' if wanted[device] > 1 else ''} in {folder}: "
                f"about {_size(needed)} are needed, {_size(free)} are free",
                "free some disk, `loki-hooks cleanup`, or set worktrees.path to another disk",
            )


def bytes_of_checkout(site: Site, git: Git, base: str) -> int:
    """Return about how many bytes a checkout of ``base`` takes; 0 where it cannot be told cheaply."""
    if site.main is not None:
        try:
            raw = (site.common / "index").read_bytes()
            return bytes_needed(parse_index(raw, "sha256" if len(base) == 64 else "sha1").entries, len(raw))
        except (OSError, ValueError):
            pass
    if git.config("extensions.partialClone") is not None:
        return 0  # asking for sizes would fetch
    listed = split_z(git.maybe("ls-tree", "-r", "-z", "--long", base) or "")
    sizes = (entry.partition("\t")[0].split()[-1] for entry in listed)
    return sum((int(size) + 4095) // 4096 * 4096 for size in sizes if size.isdigit())


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
