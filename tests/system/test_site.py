"""Where a repository keeps its things, from wherever one looks, compared with what git says."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from conftest import Repo, call

from loki_hooks.actions.landing.advance import obstacle
from loki_hooks.errors import NotEnabledError
from loki_hooks.system.git.git import Git, list_worktrees
from loki_hooks.system.site import Site, discover, ensure_loki, require_enabled


def same(one: Site, other: Site) -> bool:
    return (one.common, one.main, one.loki) == (other.common, other.main, other.loki)


def agrees_with_git(repo: Repo, folder: Path) -> Site:
    """Return the site at ``folder``, whose common dir and worktree root are those that git gives."""
    site = discover(folder)
    common = repo.git("rev-parse", "--path-format=absolute", "--git-common-dir", cwd=folder)
    assert os.path.realpath(common) == str(site.common)
    if repo.git("rev-parse", "--is-inside-work-tree", cwd=folder) == "true":
        assert repo.git("rev-parse", "--show-toplevel", cwd=folder) == str(site.here)
    return site


def test_from_the_main_worktree_and_below_it(repo: Repo) -> None:
    deep = repo.path / "a" / "b"
    deep.mkdir(parents=True)
    for folder in (repo.path, deep):
        site = agrees_with_git(repo, folder)
        assert site == Site(repo.path / ".git", repo.path, repo.path)
        assert (site.loki, site.project, site.in_linked_worktree) == (repo.path / ".loki", "project", False)
    assert discover(repo.path / ".git" / "refs") == discover(repo.path)


def test_from_a_linked_worktree_of_any_tool(repo: Repo) -> None:
    repo.git("worktree", "add", "-q", "../other", "-b", "feature/x")
    linked = repo.path.parent / "other"
    site = agrees_with_git(repo, linked)
    assert same(site, discover(repo.path))
    assert (site.here, site.in_linked_worktree) == (linked, True)


def test_in_a_path_with_a_space_and_through_a_link(repo: Repo, tmp_path: Path) -> None:
    spaced = tmp_path / "a b" / "my project"
    spaced.parent.mkdir()
    repo.path.rename(spaced)
    moved = Repo(spaced)
    moved.git("worktree", "add", "-q", "../li nked", "-b", "x")
    assert same(agrees_with_git(moved, spaced.parent / "li nked"), agrees_with_git(moved, spaced))
    (tmp_path / "way").symlink_to(spaced)
    assert discover(tmp_path / "way") == discover(spaced)


def test_a_git_dir_that_a_link_leads_to(repo: Repo) -> None:
    """As people do whose folders are synchronised: the git dir keeps out of that."""
    (repo.path / ".git").rename(repo.path / ".git.nosync")
    (repo.path / ".git").symlink_to(".git.nosync")
    discover(repo.path).enable("test")
    repo.git("worktree", "add", "-q", "../linked", "-b", "feature/x")
    places = [agrees_with_git(repo, folder) for folder in (repo.path, repo.path.parent / "linked")]
    assert same(*places)
    assert places[0].loki == repo.path / ".loki"
    assert same(discover(repo.path / ".git.nosync"), places[0])
    assert (
        list_worktrees(Git(repo.path))[0].path == list_worktrees(Git(repo.path.parent / "linked"))[0].path == repo.path
    )


def test_a_bare_repository_keeps_it_inside_itself(repo: Repo, tmp_path: Path) -> None:
    bare = tmp_path / "thing.git"
    repo.git("clone", "-q", "--bare", str(repo.path), str(bare))
    repo.git("worktree", "add", "-q", str(tmp_path / "tree"), "-b", "x", cwd=bare)
    site = agrees_with_git(repo, bare)
    assert (site.main, site.loki, site.root, site.project) == (None, bare / ".loki", bare, "thing")
    assert same(site, agrees_with_git(repo, tmp_path / "tree"))
    assert not discover(tmp_path / "tree").in_linked_worktree


@pytest.mark.parametrize("worktree_config", [False, True])
def test_a_bare_layout_is_one_site_from_everywhere(repo: Repo, tmp_path: Path, worktree_config: bool) -> None:
    """`.bare` beside a `.git` file that points at it; with extensions.worktreeConfig, core.bare is in another file."""
    project = tmp_path / "layout"
    project.mkdir()
    repo.git("clone", "-q", "--bare", str(repo.path), str(project / ".bare"))
    (project / ".git").write_text("gitdir: ./.bare\n")
    if worktree_config:
        repo.git("config", "extensions.worktreeConfig", "true", cwd=project)
        repo.git("config", "--unset", "core.bare", cwd=project)
        (project / ".bare" / "config.worktree").write_text("[core]\n\tbare = true\n")
    repo.git("worktree", "add", "-q", "main", cwd=project)
    sites = [agrees_with_git(repo, folder) for folder in (project, project / "main", project / ".bare")]
    assert all(same(site, sites[0]) for site in sites)
    assert (sites[0].main, sites[0].loki, sites[0].project) == (None, project / ".bare" / ".loki", "layout")


def test_a_submodule_is_a_site_of_its_own_with_its_worktrees(repo: Repo, tmp_path: Path) -> None:
    library = Repo(tmp_path / "library")
    library.path.mkdir()
    library.git("init", "-q")
    library.commit("Begin", {"lib.py": "x = 1\n"})
    repo.git("submodule", "add", "-q", str(library.path), "lib")
    inside = repo.path / "lib"
    site = agrees_with_git(repo, inside)
    assert (site.main, site.loki) == (inside, inside / ".loki")
    repo.git("worktree", "add", "-q", str(tmp_path / "lib-x"), cwd=inside)
    assert same(agrees_with_git(repo, tmp_path / "lib-x"), site)


def test_a_git_dir_kept_elsewhere_is_one_site_once_loki_is_on(repo: Repo, tmp_path: Path) -> None:
    """Git itself cannot tell a linked worktree where the main one is; `enable` records it."""
    repo.git("init", "-q", "--separate-git-dir", str(tmp_path / "store"))
    repo.git("worktree", "add", "-q", "../other")
    site = agrees_with_git(repo, repo.path)
    assert site.main == repo.path
    site.enable("a test")
    assert same(agrees_with_git(repo, repo.path.parent / "other"), site)
    assert discover(repo.path) == site
    repo.path.rename(tmp_path / "moved")
    assert discover(repo.path.parent / "other").main is None, "a place that is no longer it is not believed"


def test_a_flipped_core_bare_does_not_move_the_site(repo: Repo) -> None:
    """A test's `git init` under a hook's GIT_DIR does that; the gate must not look elsewhere then."""
    repo.git("worktree", "add", "-q", "../other")
    before = discover(repo.path), discover(repo.path.parent / "other")
    repo.git("config", "core.bare", "true")
    assert (discover(repo.path), discover(repo.path.parent / "other")) == before


def test_outside_of_any_repository_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotEnabledError, match="not a git repository"):
        discover(tmp_path)


@pytest.mark.parametrize("content", ["", "gitdir: ", "nonsense\n", "gitdir: ../gone\n", "\x00\xff"])
def test_a_broken_git_file_never_crashes(tmp_path: Path, content: str) -> None:
    (tmp_path / ".git").write_text(content)
    try:
        site = discover(tmp_path)
    except NotEnabledError:
        return
    assert not site.enabled


def test_a_git_file_that_is_no_file_never_crashes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".git")
    with pytest.raises(NotEnabledError):
        discover(tmp_path)


def test_being_on_is_recorded_where_git_clean_does_not_reach(repo: Repo) -> None:
    site = discover(repo.path)
    with pytest.raises(NotEnabledError, match="not on"):
        require_enabled(repo.path)
    assert not site.loki.exists()
    site.enable("a test")
    assert (site.loki / ".gitignore").read_text() == "*\n"
    assert repo.git("status", "--porcelain") == ""
    repo.git("clean", "-xdfq")
    assert not site.loki.exists()
    assert require_enabled(repo.path) == site
    site.enable("a test")
    assert (site.loki / "queue" / "docs").is_dir()


@pytest.mark.parametrize("what", ["link", "file", "link to a folder below"])
def test_a_planted_loki_is_refused_and_not_followed(repo: Repo, tmp_path: Path, what: str) -> None:
    site = discover(repo.path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if what == "link":
        site.loki.symlink_to(elsewhere)
    elif what == "file":
        site.loki.write_text("mine")
    else:
        ensure_loki(site.loki)
        (site.loki / "signals").symlink_to(elsewhere)
    with pytest.raises(NotEnabledError, match="not a folder"):
        site.folder("signals")
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("how", ["separate", "link"])
def test_a_git_dir_elsewhere_has_one_main_worktree_and_one_loki(tmp_path: Path, how: str) -> None:
    main, git_dir = tmp_path / "main", tmp_path / "store" / ".git"
    git_dir.parent.mkdir()
    if how == "separate":
        Repo(tmp_path).git("init", "-q", f"--separate-git-dir={git_dir}", str(main))
    else:
        Repo(tmp_path).git("init", "-q", str(main))
        (main / ".git").rename(git_dir)
        (main / ".git").symlink_to(git_dir)
    repo = Repo(main)
    repo.commit("Begin", {"a": "a"})
    discover(main).enable("test")
    linked = tmp_path / "linked"
    repo.git("worktree", "add", "-q", "-b", "x", str(linked))
    for folder in (main, linked):
        site = discover(folder)
        assert (site.main, site.common, site.loki) == (main, git_dir, main / ".loki")
        assert [entry.path for entry in list_worktrees(Git(folder))] == [main, linked]
    asked = "from loki_hooks.hooks.place import find_place; print(find_place().loki)"
    assert call([sys.executable, "-c", asked], linked).out.strip() == str(main / ".loki")


def test_core_bare_by_mistake_hides_no_main_worktree(repo: Repo) -> None:
    repo.git("config", "core.bare", "true")
    (main,) = list_worktrees(Git(repo.path))
    assert (main.path, main.branch, main.bare) == (repo.path, "main", False)
    assert "core.bare" in obstacle(main, Git(repo.path), main.head, main.head)


def test_a_bare_layout_works_where_git_is_allowed_no_bare_repository_by_itself(repo: Repo, tmp_path: Path) -> None:
    repo.git("clone", "-q", "--bare", str(repo.path), str(tmp_path / "p" / ".bare"))
    (tmp_path / "p" / ".git").write_text("gitdir: ./.bare\n")
    repo.git("config", "--global", "safe.bareRepository", "explicit")
    assert Git(discover(tmp_path / "p").root).commit_id("main") == repo.git("rev-parse", "main")
