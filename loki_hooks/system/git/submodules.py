"""Submodules of a worktree: checked out at the commits that its index says, from clones that are here already.

git clones the submodules of a linked worktree anew, from their URLs, however long another worktree has had them. Here a
commit is looked for in the clones of all worktrees (``<common git dir>/modules/<name>`` of the main one,
``<common git dir>/worktrees/<id>/modules/<name>`` of a linked one, or a repository at the submodule's path), the main
worktree's first. What only the main worktree's clone has is then below ``refs/remotes/main-worktree/``, and ``origin`` is what
the main worktree's clone has as ``origin``. What no clone has is fetched from the URL, where the caller wants that.

A submodule that the main worktree knows and left out stays out. The configuration, which all worktrees share, is never
written: what `git submodule` needs to know is told on its command line.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.errors import LokiError, reason_in
from loki_hooks.system.files import read_plain
from loki_hooks.system.git.git import Git, split_z

if TYPE_CHECKING:
    from loki_hooks.system.site import Site

_TIMEOUT = 900.0
_HEADS = ("+refs/heads/*:refs/remotes/main-worktree/*", "+HEAD:refs/remotes/main-worktree/HEAD")
_NEW = ("+refs/remotes/origin/*:refs/remotes/origin/*", *_HEADS)
_KNOWN = ("+refs/remotes/origin/*:refs/remotes/main-worktree/origin/*", *_HEADS)
"""What is fetched from the main worktree's clone: into a new clone, and into one whose ``origin`` may be newer."""
_LOCAL = ("-c", "protocol.file.allow=always", "-c", "protocol.version=2")
"""For a clone that is here: git may read it, and (since version 2) gives any commit that it has."""


@dataclass(frozen=True)
class Submodule:
    """A submodule as a worktree's index has it: its path there, the commit, and what ``.gitmodules`` says."""

    name: str
    path: str
    commit: str
    url: str


@dataclass(frozen=True)
class _Holder:
    """Who may have clones: a worktree (None: its folder is gone) and the folder of its submodules' git dirs."""

    checkout: Path | None
    modules: Path

    def clone_of(self, sub: Submodule) -> Path | None:
        """Return the git dir of the submodule's clone, or None."""
        inside = self.modules / sub.name
        if (inside / "HEAD").is_file():
            return inside
        return None if self.checkout is None else _git_dir(self.checkout / sub.path)

    def within(self, sub: Submodule) -> _Holder:
        """Return the same for the submodule's own submodules."""
        checkout = None if self.checkout is None else self.checkout / sub.path
        return _Holder(checkout, (self.clone_of(sub) or self.modules / sub.name) / "modules")

    def leaves_out(self, sub: Submodule) -> bool:
        """Return whether the worktree has this submodule in its index, and no clone of it."""
        if self.clone_of(sub) is not None or self.checkout is None or _git_dir(self.checkout) is None:
            return False
        return sub.path in gitlinks(Git(self.checkout))


def gitlinks(git: Git) -> tuple[str, ...]:
    """Return the paths of the submodules in the index of a worktree."""
    return tuple(pinned(git))


def pinned(git: Git) -> dict[str, str]:
    """Return the submodules in the index: path → commit."""
    entries = split_z(git.out("ls-files", "--stage", "-z"))
    return {entry.partition("\t")[2]: entry.split(" ", 2)[1] for entry in entries if entry.startswith("160000 ")}


def submodules_of(git: Git) -> tuple[Submodule, ...]:
    """Return the submodules in the index that its ``.gitmodules`` names: others are empty folders in a fresh clone."""
    links = pinned(git)
    listed = git.maybe("config", "-z", "--blob", ":.gitmodules", "--get-regexp", r"^submodule\..*\.(path|url)$")
    told: dict[str, dict[str, str]] = {}
    for entry in split_z(listed or "" if links else ""):
        key, _, value = entry.partition("\n")
        name, _, what = key.removeprefix("submodule.").rpartition(".")
        told.setdefault(name, {})[what] = value
    return tuple(
        Submodule(name, about["path"], links[about["path"]], about.get("url", ""))
        for name, about in told.items()
        if about.get("path") in links and ".." not in Path(name).parts and not Path(name).is_absolute()
    )


def may_have_submodules(worktree: Path) -> bool:
    """Return, without a process, whether it is worth looking: a worktree without ``.gitmodules`` and clones has none."""
    git_dir = _git_dir(worktree)
    return (worktree / ".gitmodules").exists() or (git_dir is not None and (git_dir / "modules").is_dir())


def checked_out(worktree: Path) -> tuple[Path, ...]:
    """Return the folders of the submodules that are checked out in a worktree, not those within them."""
    if not may_have_submodules(worktree):
        return ()
    folders = (worktree / path for path in gitlinks(Git(worktree)))
    return tuple(folder for folder in folders if _git_dir(folder) is not None)


def out_of_place(worktree: Path) -> tuple[Path, ...]:
    """Return the folders of submodules that hold something, and no checkout of a clone that is the worktree's own."""
    if not may_have_submodules(worktree):
        return ()
    own = _git_dir(worktree)
    found = []
    for path in gitlinks(Git(worktree)):
        folder = worktree / path
        git_dir = _git_dir(folder)
        ours = git_dir is not None and own is not None and git_dir.is_relative_to(own / "modules")
        if not ours and (folder.is_symlink() or (folder.is_dir() and any(folder.iterdir()))):
            found.append(folder)
    return tuple(found)


def take_out(folder: Path, worktree: Path) -> None:
    """Empty a submodule's folder; its clone stays. Nothing is followed out of the worktree. Raises ``LokiError``."""
    if any(parent.is_symlink() for parent in folder.parents if parent.is_relative_to(worktree) and parent != worktree):
        return
    try:
        if folder.is_symlink():
            folder.unlink()
        elif folder.is_dir():
            shutil.rmtree(folder)
        else:
            return
        folder.mkdir()
    except OSError as error:
        raise LokiError(f"the submodule in {folder} cannot be taken out: {error.strerror or error}") from error


def take_out_what_goes(git: Git, commit: str) -> None:
    """Empty the folders of the submodules of HEAD that ``commit`` has not: git would leave them where they are."""
    if may_have_submodules(git.cwd):
        for path, _ in _gone(git, "HEAD", commit):
            take_out(git.cwd / path, git.cwd)


def _gone(git: Git, before: str, after: str) -> list[tuple[str, str]]:
    """Return (path, commit) of each submodule of one commit that another has not, or not there."""
    fields = git.out("diff-tree", "-r", "-z", "--raw", "--no-renames", before, after).split("\0")
    changes = ((change.split(), path) for change, path in zip(fields[::2], fields[1::2], strict=False))
    return [(path, old) for (was, now, old, *_), path in changes if was == ":160000" and now != "160000"]


def fill_submodules(site: Site, worktree: Path) -> None:
    """Check the submodules of a worktree out, where that was not done yet. Raises ``LokiError`` when one cannot be.

    In a bare layout there is no main worktree to say which are wanted: all are, also from their URLs.
    """
    if (worktree / ".gitmodules").is_file():
        _Bringing(site, worktree, fetch=site.main is None, move=False).bring()


def bring_submodules(site: Site, worktree: Path, *, fetch: bool) -> None:
    """Have every submodule, nested ones too, at the commit that the index says; what they held uncommitted is lost.

    ``fetch``: from the URL, too. Raises ``LokiError`` when one cannot be checked out.
    """
    if may_have_submodules(worktree):
        _Bringing(site, worktree, fetch=fetch, move=True).bring()


def follow_submodules(site: Site, worktree: Path, before: str) -> None:
    """Have the submodules where HEAD has them, after git moved a clean worktree there from the commit ``before``.

    git moves only the index: what it left would be committed as the way back. A removed submodule that holds more than
    its commit (ignored files, too) stays. Raises ``LokiError`` when one cannot be checked out.
    """
    if not may_have_submodules(worktree):
        return
    git = Git(worktree)
    for path, commit in _gone(git, before, "HEAD"):
        there = worktree / path
        if _git_dir(there) is not None and not (there / ".git").is_dir():
            inside = Git(there)
            left = inside.maybe(
                "status", "--porcelain", "--untracked-files=all", "--ignored", "--ignore-submodules=none"
            )
            if left == "" and inside.commit_id("HEAD") == commit:
                take_out(there, worktree)
                there.rmdir()
    bring_submodules(site, worktree, fetch=True)


def follow_landing(site: Site, worktree: Path, before: str) -> None:
    """Have the submodules that moved since the commit ``before`` where HEAD has them, in a worktree of a person's.

    git moves only the index, and what lands next there would wait for that. One that is on a branch, at another commit, or
    holds anything else stays. Raises ``LokiError`` when one cannot be checked out; nothing is asked of a server.
    """
    if not may_have_submodules(worktree):
        return
    fields = Git(worktree).out("diff-tree", "-r", "-z", "--raw", "--no-renames", before, "HEAD").split("\0")
    changes = ((change.split(), path) for change, path in zip(fields[::2], fields[1::2], strict=False))
    moved = [(path, old) for (was, now, old, *_), path in changes if (was, now) == (":160000", "160000")]
    only = frozenset(path for path, old in moved if _holds_only(worktree / path, old))
    if only:
        _Bringing(site, worktree, fetch=False, move=True, only=only).bring()


def _holds_only(there: Path, commit: str) -> bool:
    if _git_dir(there) is None:
        return False
    inside = Git(there)
    words = ("status", "--porcelain", "--untracked-files=all", "--ignored", "--ignore-submodules=none")
    detached = inside.maybe("symbolic-ref", "--quiet", "HEAD") is None
    return detached and inside.commit_id("HEAD") == commit and inside.maybe(*words) == ""


@dataclass(frozen=True)
class _Bringing:
    site: Site
    worktree: Path
    fetch: bool
    move: bool
    only: frozenset[str] | None = None
    """The worktree's own submodules that are meant; None: all."""

    def bring(self) -> None:
        main = _Holder(self.site.main, self.site.common / "modules")
        others = [
            _Holder(_checkout_of(admin), admin / "modules") for admin in sorted(self.site.common.glob("worktrees/*"))
        ]
        own = _git_dir(self.worktree)
        self._all(Git(self.worktree), main, [other for other in others if other.modules.parent != own])

    def _all(self, git: Git, main: _Holder, others: list[_Holder]) -> None:
        for sub in submodules_of(git):
            there = git.cwd / sub.path
            if (there / ".git").exists() and not self.move:
                continue
            if self.only is not None and git.cwd == self.worktree and sub.path not in self.only:
                continue
            clones = [clone for holder in (main, *others) if (clone := holder.clone_of(sub)) is not None]
            has_own = _own_clone(git, sub) is not None
            if not has_own and (main.leaves_out(sub) or not (clones or self.fetch)):
                continue
            self._one(git, sub, main.clone_of(sub), clones)
            if may_have_submodules(there):
                self._all(Git(there), main.within(sub), [other.within(sub) for other in others])

    def _one(self, git: Git, sub: Submodule, main: Path | None, clones: list[Path]) -> None:
        there = git.cwd / sub.path
        if (there / ".git").is_file() and _git_dir(there) != _own_clone(git, sub):
            take_out(there, self.worktree)  # another submodule was here, by another name
        inside, told = Git(there), ""
        if not (there / ".git").exists():
            told = self._connect(git, sub, main, clones)
        elif inside.commit_id("HEAD") == sub.commit:
            return
        if not _has(there, sub.commit):
            told = self._find(git, sub, main, clones) or told
        if _has(there, sub.commit) and inside.commit_id("HEAD") is not None:
            take_out_what_goes(inside, sub.commit)
        done = inside.run("checkout", "--quiet", "--force", "--detach", sub.commit, timeout=_TIMEOUT)
        if done.returncode != 0:
            raise self._failed(there, sub, told or done.error_text)

    def _connect(self, git: Git, sub: Submodule, main: Path | None, clones: list[Path]) -> str:
        """Clone the submodule, or connect the clone that the worktree has; return what went wrong. May raise ``LokiError``."""
        there = git.cwd / sub.path
        own = _own_clone(git, sub)
        told = ""
        for clone in [own] if own is not None else clones:
            told = _update(git, sub, str(clone), *_LOCAL)
            if (there / ".git").exists():
                if own is None and clone == main:
                    _fetch(there, main, *_NEW, prune=True)
                self._set_origin(git, sub, clone)
                return told
        for url in _urls(git, sub) if self.fetch else ():
            told = _update(git, sub, url)
            if (there / ".git").exists():
                return told
        raise self._failed(there, sub, told)

    @staticmethod
    def _set_origin(git: Git, sub: Submodule, clone: Path) -> None:
        url = Git(clone).config("remote.origin.url") or next(iter(_urls(git, sub)), "")
        if url:
            Git(git.cwd / sub.path).out("remote", "set-url", "origin", url)

    def _find(self, git: Git, sub: Submodule, main: Path | None, clones: list[Path]) -> str:
        """Fetch the commit from who has it; return '' or what went wrong last."""
        there = git.cwd / sub.path
        if main is not None:
            _fetch(there, main, *_KNOWN)
        for clone in clones:
            if _has(there, sub.commit):
                return ""
            _fetch(there, clone, sub.commit)
        told = ""
        for url in _urls(git, sub) if self.fetch else ():
            if not _has(there, sub.commit):  # a server need not give a commit that is no branch's tip
                told = _fetch(there, url, sub.commit)
            if not _has(there, sub.commit):
                told = _fetch(there, url, "+refs/heads/*:refs/remotes/origin/*") or told
        return "" if _has(there, sub.commit) else told

    def _failed(self, there: Path, sub: Submodule, told: str) -> LokiError:
        path = there.relative_to(self.worktree)
        where = f" from {sub.url}" if self.fetch and sub.url else ""
        local = "://" not in sub.url and ":" not in sub.url.partition("/")[0]
        refused = self.fetch and (local or sub.url.startswith("file://")) and _file_is_refused(self.worktree)
        why = (
            "git takes no submodule from a local path unless protocol.file.allow says so"
            if refused
            else reason_in(told)
        )
        return LokiError(
            f"the submodule {path} cannot be checked out at {sub.commit[:12]}{where}, and no worktree's clone has that"
            f" commit: {why}",
            f"`git submodule update --init {path}` in a worktree that has it shows more",
        )


def _file_is_refused(worktree: Path) -> bool:
    git = Git(worktree)
    return (git.config("protocol.file.allow") or git.config("protocol.allow")) != "always"


def _update(git: Git, sub: Submodule, url: str, *options: str) -> str:
    """Have git clone or connect one submodule, from ``url``, and check it out; return '' or what it says went wrong."""
    key = f"submodule.{sub.name}"
    told = ("-c", f"{key}.url={url}", "-c", f"{key}.active=true", "-c", f"{key}.update=checkout")
    words = ("submodule", "--quiet", "update", "--checkout", "--no-fetch", "--force", "--", sub.path)
    done = git.run(*options, *told, *words, timeout=_TIMEOUT)
    return "" if done.returncode == 0 else done.error_text


def _fetch(there: Path, source: str | Path, *refspecs: str, prune: bool = False) -> str:
    """Fetch from a URL, or a clone (a path), and return '' or what went wrong."""
    options = _LOCAL if isinstance(source, Path) else ()
    words = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", *(("--prune",) if prune else ()))
    done = Git(there).run(*options, *words, str(source), *refspecs, timeout=_TIMEOUT)
    return "" if done.returncode == 0 else done.error_text


def _has(there: Path, commit: str) -> bool:
    return Git(there).ok("cat-file", "-e", f"{commit}^{{commit}}")


def _urls(git: Git, sub: Submodule) -> tuple[str, ...]:
    """Return where the submodule may be fetched from: what the user configured, then what the tree says."""
    configured = git.config(f"submodule.{sub.name}.url")
    told = _resolved(git, sub.url) if sub.url else ""
    return tuple(dict.fromkeys(url for url in (configured, told) if url))


def _resolved(git: Git, url: str) -> str:
    """Return a URL that is relative (``./x``, ``../x``: gitmodules(5)) to the repository's own as a whole one."""
    if not url.startswith(("./", "../")):
        return url
    base = (git.config("remote.origin.url") or str(git.cwd)).rstrip("/")
    while url.startswith(("./", "../")):
        if url.startswith("../"):
            cut = max(base.rfind("/"), base.rfind(":"))
            base = base[: cut if base[cut : cut + 1] == "/" else cut + 1]
        url = url.partition("/")[2]
    return f"{base}{'' if base.endswith(':') else '/'}{url}"


def _own_clone(git: Git, sub: Submodule) -> Path | None:
    """Return the git dir of the worktree's own clone of the submodule, or None."""
    own = _git_dir(git.cwd)
    clone = None if own is None else own / "modules" / sub.name
    return clone if clone is not None and (clone / "HEAD").is_file() else None


def _checkout_of(admin: Path) -> Path | None:
    """Return the worktree that a folder below ``worktrees/`` of the common git dir belongs to, if it is there."""
    text = (read_plain(admin / "gitdir") or b"").decode("utf-8", "surrogateescape").strip()
    folder = (admin / text).parent if text else None
    return folder if folder is not None and _git_dir(folder) == admin.resolve() else None


def _git_dir(folder: Path) -> Path | None:
    """Return the git dir of a checkout, by its ``.git``, as a real path; None where there is none."""
    dot = folder / ".git"
    if dot.is_symlink() or folder.is_symlink():
        return None
    if dot.is_file():
        text = (read_plain(dot) or b"").decode("utf-8", "surrogateescape").removeprefix("gitdir: ").strip()
        dot = folder / text
    return dot.resolve() if (dot / "HEAD").is_file() else None
