"""Whether a file that git shows as modified is what a checkout writes.

Line ends and filters can make git show a file as modified that nobody touched: one that was committed before the attributes
were that apply to it now. It is nobody's change.
"""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from loki_hooks.system.git.git import Git

MAX_PATHS = 2000
"""More are not compared: they are taken for changed."""


def as_checked_out(git: Git, paths: Sequence[str], env: Mapping[str, str] | None = None) -> frozenset[str]:
    """Return those of the paths whose files are exactly what a checkout of the index writes."""
    if not paths or len(paths) > MAX_PATHS:
        return frozenset()
    listed = "".join(f"{path}\0" for path in paths).encode("utf-8", "surrogateescape")
    with tempfile.TemporaryDirectory(prefix="loki-files-") as folder:
        words = ("checkout-index", "--force", "--quiet", f"--prefix={folder}/", "-z", "--stdin")
        git.run(*words, stdin=listed, env=env, timeout=1800)
        return frozenset(path for path in paths if _same(git.cwd / path, Path(folder, path)))


def _same(one: Path, other: Path) -> bool:
    """Whether two paths are files of one content and kind (program or not, or symbolic link)."""
    try:
        first, second = one.lstat(), other.lstat()
        if stat.S_IFMT(first.st_mode) != stat.S_IFMT(second.st_mode):
            return False
        if stat.S_ISLNK(first.st_mode):
            return one.readlink() == other.readlink()
        same_kind = stat.S_ISREG(first.st_mode) and (first.st_mode ^ second.st_mode) & 0o100 == 0
        return same_kind and first.st_size == second.st_size and one.read_bytes() == other.read_bytes()
    except OSError:
        return False
