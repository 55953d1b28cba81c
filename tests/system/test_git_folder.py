"""git works in the worktree that is meant or in none: never in the repository around it, never in another worktree."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loki_hooks.errors import LokiError, NotEnabledError
from loki_hooks.system.git.git import Git
from loki_hooks.system.git_folder import astray, with_ceiling
from loki_hooks.system.site import discover

if TYPE_CHECKING:
    from conftest import Repo

HARM = (
    ("reset", "--hard", "--quiet"),
    ("clean", "-d", "--force", "--force", "--quiet"),
    ("checkout", "--quiet", "--detach", "HEAD"),
    ("add", "--all"),
    ("commit", "--quiet", "--all", "-m", "not here"),
    ("-c", "core.splitIndex=false", "read-tree", "-u", "--reset", "HEAD"),
)


def gone(dot: Path, _: Repo) -> None:
    dot.unlink()


def empty_folder(dot: Path, _: Repo) -> None:
    dot.unlink()
    dot.mkdir()


def to_main(dot: Path, repo: Repo) -> None:
    dot.write_text(f"gitdir: {repo.path}/.git\n")


def to_another(dot: Path, repo: Repo) -> None:
    dot.write_text(f"gitdir: {repo.path}/.git/worktrees/other\n")


def repository(dot: Path, repo: Repo) -> None:
    dot.unlink()
    repo.git("init", "-q", cwd=dot.parent)
    repo.git("commit", "-q", "--allow-empty", "-m", "a test's own", cwd=dot.parent)


@pytest.mark.parametrize(
    ("place", "lose"),
    [
        *(("plain", lose) for lose in (gone, empty_folder, to_main, to_another, repository)),
        *(("with:colon", lose) for lose in (gone, to_main)),
        ("link", gone),
    ],
)
def test_nothing_is_written_where_a_worktree_was(repo: Repo, place: str, lose: Callable[[Path, Repo], None]) -> None:
    repo.git("worktree", "add", "-q", "-b", "other", "../other")
    real = repo.path / ("real" if place == "link" else place) / "tree"
    repo.git("worktree", "add", "-q", "-b", "tree", str(real))
    if place == "link":
        (repo.path / "link").symlink_to(real.parent)
    tree = repo.path / place / "tree"
    repo.write("app.py", "an hour's work\n")
    repo.write("mine.txt", "untracked\n")
    repo.write("app.py", "others'\n", repo.path.parent / "other")
    common = repo.path / ".git"
    assert not astray(tree, common)
    Git(tree, of=common).out(*HARM[0])
    lose(real / ".git", repo)
    before = [repo.git("status", "--porcelain", "--branch", cwd=at) for at in (repo.path, repo.path.parent / "other")]
    assert astray(tree, common)
    assert any(real.iterdir())
    kept = sorted(real.iterdir())
    for words in HARM:
        with pytest.raises(LokiError, match="worktree"):
            Git(tree, of=common).run(*words)
        if lose is not repository:  # which repository is meant is not said: a whole one is taken for it
            with pytest.raises(LokiError, match="worktree"):
                Git(tree).run(*words)
    if lose in {gone, empty_folder} and place != "with:colon":
        assert Git(tree).run("rev-parse", "--show-toplevel").returncode == 128, "git does not go up"
        assert Git(tree).run("cat-file", "-t", "HEAD").returncode == 128
    assert sorted(real.iterdir()) == kept
    assert [
        repo.git("status", "--porcelain", "--branch", cwd=at) for at in (repo.path, repo.path.parent / "other")
    ] == before
    assert (repo.path / "app.py").read_text() == "an hour's work\n"


def test_worktrees_of_every_making_are_their_own(repo: Repo, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    repo.git("clone", "-q", "--bare", str(repo.path), str(bare))
    repo.git("worktree", "add", "-q", str(tmp_path / "of-bare"), "main", cwd=bare)
    (tmp_path / "elsewhere").mkdir()
    repo.git("init", "-q", "--separate-git-dir", str(tmp_path / "elsewhere" / ".git"), str(tmp_path / "apart"))
    discover(tmp_path / "apart").enable("test")
    repo.commit("First", {"a": "a"}, cwd=tmp_path / "apart")
    repo.git("worktree", "add", "-q", str(tmp_path / "of-apart"), cwd=tmp_path / "apart")
    repo.git("submodule", "--quiet", "add", str(bare), "sub")
    linked = tmp_path / "linked"
    repo.git("clone", "-q", str(repo.path), str(linked))
    (linked / ".git").rename(tmp_path / "git-dir")
    (linked / ".git").symlink_to(tmp_path / "git-dir")
    repo.git("worktree", "add", "-q", str(tmp_path / "of-linked"), "-b", "x", cwd=linked)
    for place in (
        repo.path,
        repo.path / "sub",
        *(tmp_path / n for n in ("of-bare", "apart", "of-apart", "linked", "of-linked")),
    ):
        assert astray(place, discover(place).common) == ""
        Git(place, of=discover(place).common).out("reset", "--hard", "--quiet")
    (tmp_path / "of-apart" / ".git").write_text(f"gitdir: {tmp_path}/elsewhere/.git\n")
    assert astray(tmp_path / "of-apart")


def test_the_users_own_ceilings_stay(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", ":/nfs/home")
    assert with_ceiling(os.environ, repo.path) == f"{repo.path.parent}::/nfs/home"
    inside = repo.path / "folder"
    inside.mkdir()
    assert Git(inside).run("rev-parse", "HEAD").returncode == 128
    assert Git(repo.path).ok("rev-parse", "HEAD")
    assert Git(repo.path / ".git").ok("rev-parse", "HEAD"), "a git dir is no sub-folder"


def test_a_pointer_that_names_nothing_is_not_passed_over(repo: Repo) -> None:
    repo.git("worktree", "add", "-q", "-b", "tree", "in/tree")
    (repo.path / "in" / "tree" / ".git").write_text("")
    with pytest.raises(NotEnabledError):
        discover(repo.path / "in" / "tree")


def test_what_git_is_told_from_outside_decides_nothing(repo: Repo) -> None:
    """A file system monitor that sees no change, an old graft."""
    monitor = repo.write("monitor", '#!/bin/sh\nprintf "token\\0"\n', repo.path.parent)
    monitor.chmod(0o755)
    repo.git("config", "core.fsmonitor", str(monitor))
    repo.git("config", "core.untrackedCache", "true")
    repo.git("update-index", "--fsmonitor")
    repo.git("status")
    repo.write("app.py", "changed\n")
    repo.write("new.txt", "new\n")
    assert repo.git("status", "--porcelain") == "", "the monitor is believed by a plain git"
    assert Git(repo.path).out("status", "--porcelain").splitlines() == [" M app.py", "?? new.txt"]
    first = repo.git("rev-parse", "HEAD")
    repo.commit("Second")
    graft = repo.path / ".git" / "info" / "grafts"
    graft.parent.mkdir(exist_ok=True)
    graft.write_text(repo.git("rev-parse", "HEAD") + "\n")
    done = Git(repo.path).run("merge-base", "--is-ancestor", first, "HEAD")
    assert (done.returncode, done.stderr) == (0, b"")
    shutil.rmtree(graft.parent)
