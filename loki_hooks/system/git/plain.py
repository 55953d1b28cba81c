"""git over the repository's objects that knows nothing else of the repository: a git dir of our own, for a moment.

What a checkout or a merge makes of objects depends on more than objects. Anybody who may write below ``.git`` can set

    config             filter.*, merge.*, core.autocrlf, core.eol, core.attributesFile, core.worktree, branch.*.mergeOptions …
    info/attributes    weighs more than any .gitattributes
    info/grafts, refs/replace, flags in the index

A plain git dir has none of these: attributes are the tree's, and drivers are those of the user's own (global, system)
configuration. It shares the object store, and it has what fetching needs (a partial clone gets objects that it lacks; LFS
gets files, which are proved by their hashes). ``info/exclude`` says only what is not looked at; it comes along.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loki_hooks.errors import LokiError
from loki_hooks.system.files import read_plain
from loki_hooks.system.git.git import Git, split_z
from loki_hooks.system.git_folder import git_dir_at, pointer

_FETCHING = re.compile(
    r"remote\..*\.(url|promisor|partialclonefilter|proxy|lfsurl)|extensions\.(partialclone|objectformat)"
    r"|(url|http|credential|protocol)\..*|core\.sshcommand|ssh\.variant|lfs\.(url|storage)",
    re.IGNORECASE | re.DOTALL,
)
_STORES = ("lfs", "git-crypt")
"""Folders of the git dir in which well-known filters keep content, or keys."""


@dataclass(frozen=True)
class Plain:
    """A plain git dir, ``folder``, over the objects of the repository ``common``. ``scratch``: an empty folder beside it."""

    folder: Path
    scratch: Path
    common: Path

    def env(self, worktree: Path, index: Path | None = None) -> dict[str, str]:
        """Return the environment in which git works there, with the files of ``worktree`` and an ``index`` (None: of its own)."""
        shallow = self.common / "shallow"
        return {
            "GIT_DIR": str(self.folder),
            "GIT_WORK_TREE": str(worktree),
            "GIT_INDEX_FILE": str(index or self.folder / "index"),
            "GIT_OBJECT_DIRECTORY": str(self.common / "objects"),
            "GIT_ATTR_NOSYSTEM": "1",
            **({"GIT_SHALLOW_FILE": str(shallow)} if shallow.exists() else {}),
        }


@contextlib.contextmanager
def plain_git_dir(folder: Path, near: Path | None = None) -> Iterator[Plain]:
    """Give a plain git dir for the repository of ``folder`` (a worktree's root, or a git dir); it goes at the end.

    ``near``: where it is made: the user's configuration may say what counts below a folder (``includeIf``). Raises
    ``LokiError``.
    """
    git_dir = git_dir_at(folder)
    if git_dir is None:
        raise LokiError(f"there is no repository in {folder}", "`loki-hooks doctor` says more")
    common = pointer(git_dir / "commondir") or git_dir
    with tempfile.TemporaryDirectory(prefix="plain-", dir=near, ignore_cleanup_errors=True) as name:
        made, scratch = Path(os.path.realpath(name), "git"), Path(os.path.realpath(name), "tree")
        scratch.mkdir()
        (made / "refs").mkdir(parents=True)
        (made / "info").mkdir()
        (made / "HEAD").write_text("ref: refs/heads/none\n")
        (made / "config").write_text(_config(common, folder), encoding="utf-8", errors="surrogateescape")
        (made / "info" / "exclude").write_bytes(read_plain(common / "info" / "exclude", 1 << 20) or b"")
        for store in _STORES:
            if (common / store).is_dir():
                (made / store).symlink_to(common / store)
        yield Plain(made, scratch, common)


def _config(common: Path, folder: Path) -> str:
    """Return the text of a plain git dir's configuration."""
    lines = [
        "[core]",
        "\trepositoryformatversion = 1",
        "\tbare = false",
        f"\tattributesFile = {os.devnull}",
        f"\tignorecase = {'true' if os.path.lexists(folder / '.GIT') else 'false'}",
        *(["\tprecomposeunicode = true"] if sys.platform == "darwin" else []),
    ]
    file = common / "config"
    try:
        seen = file.stat()
    except OSError as error:
        raise LokiError(f"cannot read {file}: {error.strerror or error}") from error
    lines += _for_fetching(file, seen.st_mtime_ns, seen.st_size, seen.st_ino)
    return "\n".join(lines) + "\n"


@functools.lru_cache(maxsize=16)
def _for_fetching(file: Path, *_seen: int) -> tuple[str, ...]:
    """Return the lines of a configuration file that say how objects are fetched."""
    lines = []
    listed = Git(Path("/")).run("config", "--file", str(file), "--includes", "--list", "-z")
    for entry in split_z(listed.text):
        key, _, value = entry.partition("\n")
        if _FETCHING.fullmatch(key):
            section, _, rest = key.partition(".")
            middle, _, name = rest.rpartition(".")
            lines += [f"[{section}{f' {_quoted(middle)}' if middle else ''}]", f"\t{name} = {_quoted(value)}"]
    return tuple(lines)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
