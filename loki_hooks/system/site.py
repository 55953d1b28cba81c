"""The site: where a repository keeps its things. Found by reading files, without starting a process.

``common`` is the common git dir (gitrepository-layout(5)): ``<main>/.git``, a bare ``name.git``, or a
``.bare`` beside a ``.git`` file that points at it. ``.loki/`` is at the root of the main worktree; where there
is none it is inside the common git dir. Whether loki-hooks is on is recorded in the common git dir, so that
`git clean -xdf` cannot close a gate silently.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from loki_hooks.errors import NotEnabledError
from loki_hooks.system.files import write_atomic
from loki_hooks.system.git_folder import config_value, git_dir_at, pointer

LOKI = ".loki"
_FOUND = "found"
FOLDERS = ("state", "state/locks", "signals", "queue/spawn", "queue/docs", "queue/blog", "logs", "archive")


@dataclass(frozen=True)
class Site:
    """``here`` is the root of the worktree (or bare repository) that the search began in."""

    common: Path
    main: Path | None
    here: Path

    @property
    def loki(self) -> Path:
        return (self.main or self.common) / LOKI

    @property
    def root(self) -> Path:
        """The folder that relative worktree paths begin at: the main worktree, or the bare repository."""
        return self.main or self.common

    @property
    def project(self) -> str:
        if self.main is not None:
            return self.main.name
        return self.common.parent.name if self.common.name.startswith(".") else self.common.name.removesuffix(".git")

    @property
    def private(self) -> Path:
        """What `git clean` must not take: the marker, the hook scripts, locks."""
        return self.common / "loki"

    @property
    def enabled_marker(self) -> Path:
        return self.private / "enabled"

    @property
    def enabled(self) -> bool:
        return self.enabled_marker.is_file()

    @property
    def in_linked_worktree(self) -> bool:
        return self.main is not None and self.here != self.main

    def folder(self, *parts: str) -> Path:
        """Return a folder below ``.loki/``, made if need be (with ``.gitignore`` first of all).

        Raises ``NotEnabledError`` when something else stands in its place, a symbolic link included.
        """
        ensure_loki(self.loki)
        path = self.loki.joinpath(*parts)
        make_plain_folder(path, self.loki)
        return path

    def ensure(self) -> None:
        """Make the folders of ``.loki/``."""
        for name in FOLDERS:
            self.folder(name)

    def enable(self, by: str) -> None:
        """Record that loki-hooks is on here, because of ``by``, and make ``.loki/``."""
        if self.main is not None and self.common != self.main / ".git":  # git cannot tell this to a linked worktree
            write_atomic(self.private / "main", f"{self.main}\n")
        if not self.enabled:
            self._note_found()
            write_atomic(self.enabled_marker, f"{by}\n")
        self.ensure()

    def _note_found(self) -> None:
        """Record what others have in ``.loki/`` already, where we would put ours: it is never ours to remove."""
        if not self.loki.is_dir() or os.path.lexists(self.private / _FOUND):
            return
        names = {entry.name for entry in os.scandir(self.loki)}
        for folder in names.intersection(name.partition("/")[0] for name in (*FOLDERS, "trash")):
            for base, folders, files in os.walk(self.loki / folder):
                names.update(Path(base, name).relative_to(self.loki).as_posix() for name in (*folders, *files))
        write_atomic(self.private / _FOUND, "\0".join(sorted(names)))

    def found(self) -> frozenset[str] | None:
        """Return the paths (from ``.loki/``) that were there when loki-hooks was turned on; None: there was no ``.loki/``."""
        try:
            text = (self.private / _FOUND).read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return None
        return frozenset(filter(None, text.split("\0")))


def ensure_loki(loki: Path) -> None:
    """Make a ``.loki/`` that git ignores: its ``.gitignore`` is written before anything else is."""
    make_plain_folder(loki, loki.parent)
    ignore = loki / ".gitignore"
    if not ignore.is_file():
        write_atomic(ignore, "*\n")


def make_plain_folder(path: Path, below: Path) -> None:
    """Make ``path`` and its parents down from ``below``; refuse a link or a file in their place."""
    current = below
    for part in path.relative_to(below).parts:
        current = current / part
        if current.is_symlink() or (current.exists() and not current.is_dir()):
            raise NotEnabledError(
                f"{current} is not a folder", "move it away: loki-hooks keeps its files there and follows no link"
            )
        current.mkdir(exist_ok=True)


def discover(start: Path | None = None) -> Site:
    """Return the site that ``start`` (default: the current folder) is in. Raises ``NotEnabledError`` outside any."""
    begin = Path(os.path.realpath(start or Path.cwd()))
    for folder in (begin, *begin.parents):
        dot = folder / ".git"
        if dot.is_dir() and (dot / "HEAD").exists():
            return _site(Path(os.path.realpath(dot)), folder)
        if dot.is_file():
            target = pointer(dot, "gitdir: ")
            if target is None:  # what is around it is another repository: git goes no further up either
                raise NotEnabledError(f"{dot} names no git dir", "`loki-hooks doctor` in the main worktree says more")
            return _site(target, folder)
        if (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir():
            return _site(folder, folder)
    raise NotEnabledError("this is not a git repository", f"change to one, or `git init` ({begin})")


def _site(git_dir: Path, here: Path) -> Site:
    shared = pointer(git_dir / "commondir") if (git_dir / "commondir").is_file() else None
    common = shared or Path(os.path.realpath(git_dir))  # .git may be a link
    main: Path | None = None
    if not _is_bare(common):
        if shared is None and here != git_dir:
            main = here
        elif recorded := _recorded_main(common):
            main = recorded
        elif common.name == ".git":
            main = common.parent
        elif shared is not None and (worktree := config_value(common, "worktree")):  # a submodule
            main = Path(os.path.realpath(common / worktree))
    return Site(common, main, main if main is not None and here == common else here)  # asked from inside the git dir


def _recorded_main(common: Path) -> Path | None:
    """Return the main worktree of a git dir that is elsewhere, as ``enable`` recorded it, if it still leads there."""
    main = pointer(common / "loki" / "main")
    return main if main is not None and git_dir_at(main) == common else None


def _is_bare(common: Path) -> bool:
    """Whether git's configuration says so. A ``core.bare`` set beside a work tree's index is damage."""
    if config_value(common, "bare") != "true":
        return False
    works = (common / "index").is_file() and (common.name == ".git" or _recorded_main(common) is not None)
    return not works


def require_enabled(start: Path | None = None) -> Site:
    """Return the site at ``start`` with loki-hooks on. Raises ``NotEnabledError`` with what to do."""
    return require_on(discover(start))


def require_on(site: Site) -> Site:
    """Return ``site`` if loki-hooks is on there, else raise ``NotEnabledError``."""
    if not site.enabled:
        raise NotEnabledError(f"loki-hooks is not on in {site.root}", "turn it on with `loki-hooks install`")
    return require_own(site)


def require_own(site: Site) -> Site:
    """Return ``site`` unless what is there of loki-hooks is another user's: files of ours beside theirs would lock both out."""
    key = site.private / "key"
    if os.path.lexists(key) and not os.access(key, os.R_OK):
        raise NotEnabledError(
            f"loki-hooks in {site.root} is another user's: {key} cannot be read",
            "each user works in a clone of their own, or pushes from there",
        )
    return site
