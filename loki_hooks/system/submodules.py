"""Submodules of a new worktree: those that the main worktree has, cloned from its own modules, without network.

git clones the submodules of a linked worktree anew, from their URLs, however long the main worktree has had them.
Here the clone is made from ``<common git dir>/modules/<name>``; its ``origin`` is then what the main worktree's clone
has as ``origin``, URL and remote-tracking branches, and what only the main worktree's clone has is below
``refs/remotes/main-worktree/``. A commit that is not there either is fetched from the URL. A submodule that the main
worktree left out stays out; where there is no main worktree (a bare layout) git initialises all, from their URLs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.errors import LokiError
from loki_hooks.system.git import Git, split_z

if TYPE_CHECKING:
    from loki_hooks.system.site import Site

_TIMEOUT = 900.0
_FROM_MAIN = (
    "+refs/remotes/origin/*:refs/remotes/origin/*",
    "+refs/heads/*:refs/remotes/main-worktree/*",
    "+HEAD:refs/remotes/main-worktree/HEAD",
)


def gitlinks(git: Git) -> tuple[str, ...]:
    """Return the paths of the submodules in the index of a worktree."""
    entries = split_z(git.out("ls-files", "--stage", "-z"))
    return tuple(entry.partition("\t")[2] for entry in entries if entry.startswith("160000 "))


def fill_submodules(site: Site, worktree: Path) -> None:
    """Check the submodules of a worktree out, where that was not done yet. Raises ``LokiError`` when one cannot be."""
    if (worktree / ".gitmodules").is_file():
        _fill(worktree, None if site.main is None else site.common / "modules")


def _fill(worktree: Path, modules: Path | None) -> None:
    git = Git(worktree)
    present = frozenset(gitlinks(git))
    for name, path in _declared(git):
        if path not in present or (worktree / path / ".git").exists() or ".." in Path(name).parts:
            continue
        if modules is None:
            _update(git, path, "--recursive")
        elif (modules / name / "HEAD").is_file():
            _from_main(git, name, path, modules / name)
            if (worktree / path / ".gitmodules").is_file():
                _fill(worktree / path, modules / name / "modules")


def _declared(git: Git) -> Iterator[tuple[str, str]]:
    """Yield (name, path) of each submodule in ``.gitmodules``."""
    listed = git.maybe("config", "-z", "--file", ".gitmodules", "--get-regexp", r"^submodule\..*\.path$")
    for entry in split_z(listed or ""):
        key, _, path = entry.partition("\n")
        yield key.removeprefix("submodule.").removesuffix(".path"), path


def _from_main(git: Git, name: str, path: str, local: Path) -> None:
    url = Git(local).config("remote.origin.url") or ""
    local_first = ("-c", f"submodule.{name}.url={local}", "-c", "protocol.file.allow=always")
    done = git.run(*local_first, "submodule", "--quiet", "update", "--init", "--", path, timeout=_TIMEOUT)
    there = Git(git.cwd / path)
    if not (git.cwd / path / ".git").exists():
        raise _failed(path, done.error_text)
    there.run(
        "-c",
        "protocol.file.allow=always",
        "fetch",
        "--quiet",
        "--no-tags",
        "--prune",
        str(local),
        *_FROM_MAIN,
        timeout=_TIMEOUT,
    )
    if url:
        there.out("remote", "set-url", "origin", url)
    if done.returncode != 0:  # the main worktree's clone does not have the commit
        _update(git, path)


def _update(git: Git, path: str, *words: str) -> None:
    done = git.run("submodule", "--quiet", "update", "--init", *words, "--", path, timeout=_TIMEOUT)
    if done.returncode != 0:
        raise _failed(path, done.error_text)


def _failed(path: str, text: str) -> LokiError:
    lines = [line for line in text.splitlines() if line.strip()]
    return LokiError(
        f"the submodule {path} cannot be checked out: {lines[-1] if lines else 'no reason given'}",
        f"`git submodule update --init {path}` in the main worktree shows more",
    )
