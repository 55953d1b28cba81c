"""What is uncommitted in a worktree, asked of git so that nothing hides it.

A file monitor, the untracked cache and settings such as ``core.trustCtime`` make `git status` faster by belief; they are
off here, and what is listed never depends on ``status.*``. Two flags in the index (git-update-index(1)) tell git not
to look at a file at all:

    assume-unchanged    a file is taken for unchanged, also when it is gone
    skip-worktree       the same; where the file is absent, that is how a sparse checkout leaves it out: no edit

Whoever decides a removal takes ``Care`` of what the flags hide, too: by git's own comparison of the file, with a copy of
the index that has no flag on it. Whoever decides a commit does not: nobody wants such an edit committed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from loki_hooks.errors import GitFailedError, LokiError
from loki_hooks.system.git.as_checked_out import as_checked_out
from loki_hooks.system.git.git import Git, split_z
from loki_hooks.system.git.operations import git_dir_of
from loki_hooks.system.processes.run import Completed

LOOK_YOURSELF = (
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.untrackedCache=false",
    "-c",
    "core.trustCtime=true",
    "-c",
    "core.checkStat=default",
    "-c",
    "core.ignoreStat=false",
)
"""git compares every file's stat data with the index by itself, and all of it."""
OWN_INDEX = ("-c", "core.splitIndex=false", *LOOK_YOURSELF)
"""A split index would write its shared part into the user's git dir."""
_QUIET = ("-c", "core.hooksPath=/dev/null")
"""What only reads runs no hook in any case: nobody has to ask git first which hooks there are."""
_OBJECTS = {"GIT_NO_REPLACE_OBJECTS": "1"}
_TIMEOUT = 600.0
_UNMERGED = frozenset({"DD", "AU", "UD", "UA", "DU", "AA", "UU"})


class Care(Enum):
    """How closely git looks. ``CONTENT`` reads every file: stat data cannot tell an edit within the second."""

    USUAL = "as `git commit` would"
    HIDDEN = "also at what the flags hide"
    CONTENT = "also at what the flags hide, by content"


@dataclass(frozen=True)
class Uncommitted:
    """One path that `git status` names, with its two letters; a folder named as a whole ends with '/'."""

    code: str
    path: str

    @property
    def untracked(self) -> bool:
        return self.code == "??"

    @property
    def ignored(self) -> bool:
        return self.code == "!!"

    @property
    def staged(self) -> bool:
        return self.code[0] not in " ?!"

    @property
    def unstaged(self) -> bool:
        """Whether the file differs from what is staged, or git does not know it."""
        return self.code[1] not in " !"

    @property
    def unmerged(self) -> bool:
        return self.code in _UNMERGED


def ask(git: Git, *options: str, care: Care = Care.USUAL) -> Completed:
    """Return how `git status` with ``options`` ended. Raises ``GitFailedError`` where the index cannot be read."""
    words = (*_QUIET, *LOOK_YOURSELF, "-c", f"core.ignoreCase={_ignores_case(git.cwd)}", "status", "-z", *options)
    reader = replace(git, hooks=True)
    flagged = Flagged() if care is Care.USUAL else _flagged(git)
    if not flagged and care is not Care.CONTENT:
        return reader.run(*words, env=_OBJECTS, timeout=_TIMEOUT)
    with index_copy(git, flagged, by_content=care is Care.CONTENT) as own:
        return reader.run(*words, env={**_OBJECTS, **own}, timeout=_TIMEOUT)


def entries(
    git: Git,
    *,
    care: Care = Care.USUAL,
    untracked: str = "all",
    ignored: bool = False,
    submodules: bool = True,
) -> tuple[Uncommitted, ...]:
    """Return what is uncommitted; what a checkout itself leaves modified is not.

    ``untracked``: all, normal or no; ``submodules``: also what is changed inside of them. Raises ``GitFailedError`` when git
    cannot tell.
    """
    options = ["--porcelain=v1", "--no-renames", f"--untracked-files={untracked}"]
    options += ["--ignored=matching"] if ignored else []
    options += ["--ignore-submodules=none"] if submodules else []
    done = ask(git, *options, care=care)
    if done.returncode != 0:
        raise GitFailedError(("status", *options), done.returncode, done.error_text)
    found = tuple(Uncommitted(entry[:2], entry[3:]) for entry in split_z(done.text))
    nobodys = as_checked_out(git, [entry.path for entry in found if entry.code == " M"])
    return tuple(entry for entry in found if entry.path not in nobodys)


def left_by_checkout(git: Git) -> tuple[str, ...]:
    """Return the tracked files that git shows as modified, and that are exactly what a checkout writes."""
    done = ask(git, "--porcelain=v1", "--no-renames", "--untracked-files=no")
    modified = [entry[3:] for entry in split_z(done.text) if entry[:2] == " M"]
    return tuple(sorted(as_checked_out(git, modified)))


def is_clean(git: Git, *, care: Care = Care.USUAL, untracked: str = "all") -> bool:
    """Return whether nothing is uncommitted. What git cannot tell is not clean."""
    try:
        return not entries(git, care=care, untracked=untracked)
    except LokiError:
        return False


def _ignores_case(worktree: Path) -> str:
    """A wrong ``core.ignoreCase`` hides a file beside a tracked one of the same letters: the folder itself is asked."""
    return "true" if os.path.lexists(worktree / ".GIT") else "false"


# The two flags ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Flagged:
    """The tracked files that git was told not to look at, but for those that a sparse checkout leaves out."""

    assumed: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.assumed or self.skipped)

    @property
    def paths(self) -> frozenset[str]:
        return frozenset({*self.assumed, *self.skipped})


def _flagged(git: Git) -> Flagged:
    listed = replace(git, hooks=True).out(*_QUIET, *LOOK_YOURSELF, "ls-files", "-v", "-z", timeout=_TIMEOUT)
    assumed, skipped = [], []
    for tag, path in ((entry[0], entry[2:]) for entry in split_z(listed)):
        absent = tag in "Ss" and not os.path.lexists(git.cwd / path)
        if tag in "Ss" and not absent:
            skipped.append(path)
        if tag.islower() and not absent:
            assumed.append(path)
    return Flagged(tuple(assumed), tuple(skipped))


def flagged_paths(git: Git) -> frozenset[str]:
    """Return the paths that git was told not to look at, and that are there or should be. Raises ``GitFailedError``."""
    return _flagged(git).paths


def _take_off(git: Git, flagged: Flagged, env: Mapping[str, str]) -> None:
    for flag, paths in (("--no-assume-unchanged", flagged.assumed), ("--no-skip-worktree", flagged.skipped)):
        if paths:
            git.out(*OWN_INDEX, "update-index", flag, "-z", "--stdin", stdin=as_stdin(paths), env=env)


@contextlib.contextmanager
def index_copy(git: Git, flagged: Flagged | None = None, *, by_content: bool = False) -> Iterator[dict[str, str]]:
    """Give an environment in which git works with a copy of the worktree's index, in which no flag hides a file.

    ``by_content``: git believes no stat data in it that says that a file is unchanged. Whatever is written there goes at
    the end. Raises ``LokiError`` when the index cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="loki-index-") as folder:
        copy = Path(folder, "index")
        index = git_dir_of(git.cwd) / "index"
        try:
            if index.exists():
                shutil.copy2(index, copy)  # with its time: git tells by it which entries to trust
        except OSError as error:
            raise LokiError(f"cannot read {index}: {error.strerror or error}") from error
        env = {"GIT_INDEX_FILE": str(copy)}
        _take_off(git, _flagged(git) if flagged is None else flagged, env)
        if by_content and copy.exists():
            os.utime(copy, (1, 1))  # an index that is older than the files: each may have been changed since
        yield env


def as_stdin(paths: Iterable[str]) -> bytes:
    """Return paths as git reads them from stdin with ``-z``."""
    return "".join(f"{path}\0" for path in paths).encode("utf-8", "surrogateescape")
