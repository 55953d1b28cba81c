"""Have a worktree be what a fresh checkout of a commit would be, and prove it by reading every file.

The index is made anew, so no flag in it, and nothing that somebody wrote into it, counts. Each file is read and cleaned as
for a commit: it must give the tree again. Where it does not, it is compared with what a checkout writes: line ends and
filters can make git show a file as modified that nobody touched. All of it in a plain git dir (`plain.py`): attributes are the
tree's, filters the user's own.

    <git dir>/loki-index    the new index, until it takes the place of ``index``
    <git dir>/loki-drivers  what the last checkout was made with: attributes and filters; other ones write all files anew
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loki_hooks.errors import GitFailedError, LokiError
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.git.as_checked_out import as_checked_out
from loki_hooks.system.git.drivers import user_drivers
from loki_hooks.system.git.git import Git, split_z
from loki_hooks.system.git.operations import git_dir_of
from loki_hooks.system.git.plain import plain_git_dir
from loki_hooks.system.git.status import OWN_INDEX, as_stdin

_INDEX, _DRIVERS = "loki-index", "loki-drivers"
_TIMEOUT = 1800.0


@dataclass(frozen=True)
class FreshCheckout:
    """A worktree, seen through a plain git dir."""

    worktree: Path
    git_dir: Path
    head: str
    env: dict[str, str]

    def changes(self) -> tuple[str, ...]:
        """Return the paths where the worktree shows more than a fresh checkout of its HEAD: changed, gone, unknown, staged.

        What is ignored is not looked at, nor is what is in a submodule. What a sparse checkout left out is not gone.
        """
        self._read(self.head)
        left_out = self._left_out()
        touched = [path for path in self._differing() if path not in left_out]
        as_written = as_checked_out(Git(self.worktree), touched, self.env)
        changed = [path for path in touched if path not in as_written]
        unknown = self._ask("ls-files", "--others", "--exclude-standard", "-z")
        return tuple(dict.fromkeys((*changed, *unknown, *self._staged())))

    def believe(self) -> None:
        """Take the index as it is for proved: it was made anew a moment ago, and nobody was here since."""
        shutil.copy2(self._index, self.env["GIT_INDEX_FILE"])

    def check_out(self, commit: str, *, looked: bool = False) -> None:
        """Have every file as a fresh checkout of ``commit`` writes it, and the index say so. HEAD is the caller's.

        ``looked``: `changes` has just looked (or need not), so only what differs from HEAD is written. Without it what is
        there is of our own run: whatever git does not ignore and ``commit`` does not have goes. Raises ``LokiError``.
        """
        drivers = self._drivers_of(commit)
        if looked:
            self._git("read-tree", "--reset", "-u", commit)
        else:
            self._read(commit)
        same = (read_plain(self.git_dir / _DRIVERS) or b"").decode("ascii", "replace") == drivers
        if not same:  # git writes nothing that it knows to be there: it must not
            self._read(commit, compare=False)
        self._write(self._differing())
        if not looked:
            self._clean()
        write_atomic(self.git_dir / _DRIVERS, drivers)
        Path(self.env["GIT_INDEX_FILE"]).replace(self._index)

    # How ------------------------------------------------------------------------------------------------------

    def _git(self, *words: str, stdin: bytes | None = None) -> str:
        return Git(self.worktree).out(*OWN_INDEX, *words, stdin=stdin, env=self.env, timeout=_TIMEOUT)

    def _ask(self, *words: str) -> list[str]:
        return list(split_z(self._git(*words)))

    def _read(self, commit: str, *, compare: bool = True) -> None:
        """Make the index anew, and compare each file with it by content; else each counts as another one."""
        Path(self.env["GIT_INDEX_FILE"]).unlink(missing_ok=True)
        self._git("read-tree", commit)
        if compare:
            Git(self.worktree).run(*OWN_INDEX, "update-index", "-q", "--refresh", env=self.env, timeout=_TIMEOUT)

    def _differing(self) -> list[str]:
        return self._ask("diff-files", "--name-only", "--no-renames", "--ignore-submodules=all", "-z")

    def _write(self, paths: Sequence[str]) -> None:
        if paths:
            self._git("checkout-index", "--force", "--index", "--quiet", "-z", "--stdin", stdin=as_stdin(paths))

    def _left_out(self) -> frozenset[str]:
        """Return the missing files that the index, as it is, says a sparse checkout left out."""
        done = Git(self.worktree).run("ls-files", "-v", "-z", env={**self.env, "GIT_INDEX_FILE": str(self._index)})
        marked = (entry[2:] for entry in split_z(done.text) if entry[0] in "Ss")
        return frozenset(path for path in marked if not os.path.lexists(self.worktree / path))

    @property
    def _index(self) -> Path:
        return self.git_dir / "index"

    def _staged(self) -> list[str]:
        """Return what is staged. An index that cannot be read holds nothing that could be kept."""
        if not self._index.is_file():
            return []
        env = {**self.env, "GIT_INDEX_FILE": str(self._index)}
        words = ("diff-index", "--cached", "--name-only", "--no-renames", "--ignore-submodules=all", "-z", self.head)
        return list(split_z(Git(self.worktree).run(*words, env=env, timeout=_TIMEOUT).text))

    def _drivers_of(self, commit: str) -> str:
        """Return a hash of what decides on the bytes of a checkout, beside the objects: attributes and filters."""
        listed = self._ask("ls-tree", "-r", "-z", "--full-tree", commit)
        attributes = [entry for entry in listed if entry.endswith(".gitattributes")]
        return hashlib.sha256(repr((attributes, sorted(user_drivers().items()))).encode()).hexdigest()

    def _clean(self) -> None:
        """Remove what git neither knows nor ignores; twice forced it takes repositories that tests made, too."""
        words = ("clean", "-d", "--force", "--force", "--quiet")
        git = Git(self.worktree)
        if git.run(*words, env=self.env, timeout=_TIMEOUT).returncode == 0:
            return
        for path in self._ask("ls-files", "--others", "--exclude-standard", "-z"):
            open_up(self.worktree / path.partition("/")[0])
        done = git.run(*words, env=self.env, timeout=_TIMEOUT)
        if done.returncode != 0:
            raise GitFailedError(words, done.returncode, done.error_text)


@contextlib.contextmanager
def fresh_checkout(worktree: Path, near: Path) -> Iterator[FreshCheckout]:
    """Give the worktree to look at and to check out. ``near``: where a plain git dir may be made. Raises ``LokiError``."""
    git_dir = git_dir_of(worktree)
    index = git_dir / _INDEX
    for left in (index, index.with_name(f"{_INDEX}.lock")):
        left.unlink(missing_ok=True)  # of one who was killed: the caller has this worktree's lock
    head = Git(worktree).commit_id("HEAD")
    if head is None:
        raise LokiError(f"HEAD of {worktree} is no commit", "`loki-hooks doctor` says more")
    with plain_git_dir(worktree, near) as plain:
        try:
            yield FreshCheckout(worktree, git_dir, head, plain.env(worktree, index))
        finally:
            index.unlink(missing_ok=True)


def open_up(folder: Path) -> None:
    """Let everything below a folder be removed: some tools make folders that nobody may write to (Go's module cache)."""
    for base, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            Path(base).chmod(0o700)
