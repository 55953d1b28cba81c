"""Merges and fast-forwards of ours depend on the objects and the user's own configuration, not on the repository's."""

from __future__ import annotations

import pytest
from conftest import Repo

from loki_hooks.system.git.fast_forward import fast_forward
from loki_hooks.system.git.git import Git
from loki_hooks.system.git.keep_both import keep_both
from loki_hooks.system.git.merges import merge_pairs, merge_trees


@pytest.fixture
def two(repo: Repo) -> tuple[str, str, str]:
    """Commits: without attributes, and two that append to one file below a folder whose attributes say ``merge=union``."""
    bare = repo.commit("Begin", {"docs/news": "top\n"})
    repo.commit("Attributes", {"docs/.gitattributes": "news merge=union\n"})
    repo.git("branch", "beside")
    ours = repo.commit("Ours", {"docs/news": "top\nours\n"})
    repo.git("switch", "-q", "beside")
    theirs = repo.commit("Theirs", {"docs/news": "top\ntheirs\n"})
    return bare, ours, theirs


def test_attributes_are_those_of_what_is_merged_into_whatever_is_checked_out(
    repo: Repo, two: tuple[str, str, str]
) -> None:
    bare, ours, theirs = two
    git = Git(repo.path)
    repo.git("checkout", "-q", "--detach", bare)
    repo.write(".git/info/attributes", "docs/news merge=binary\n")
    merged = merge_trees(git, ours, theirs)
    assert git.show_file(merged.tree, "docs/news") == b"top\nours\ntheirs\n"
    (repo.path / ".git" / "info" / "attributes").unlink()
    repo.git("checkout", "-q", ours)
    other = repo.commit("Without attributes", {"docs/.gitattributes": "", "docs/news": "top\nother\n"})
    pairs = [(ours, theirs), (other, theirs), (theirs, ours)]
    clean, conflict, turned = merge_pairs(git, pairs)
    assert clean == merged
    assert conflict.conflicts == ("docs/news",)
    assert git.show_file(turned.tree, "docs/news") == b"top\ntheirs\nours\n"


def test_only_drivers_of_the_users_own_configuration_are_run(repo: Repo) -> None:
    repo.commit("Begin", {".gitattributes": "news merge=mine\n", "news": "top\n"})
    repo.git("branch", "beside")
    ours = repo.commit("Ours", {"news": "ours\n"})
    repo.git("switch", "-q", "beside")
    theirs = repo.commit("Theirs", {"news": "theirs\n"})
    git = Git(repo.path)
    repo.git("config", "merge.mine.driver", "true")
    assert merge_trees(git, ours, theirs).conflicts == ("news",)
    assert keep_both(git, ours, theirs, ("news",)) == ""
    repo.git("config", "--global", "merge.mine.driver", "echo both >%A")
    assert git.show_file(merge_trees(git, ours, theirs).tree, "news") == b"both\n"


@pytest.mark.parametrize("options", ["--squash", "--no-commit --no-ff", "--nonsense", "-s ours"])
def test_no_option_that_is_configured_for_the_branch_counts(repo: Repo, options: str) -> None:
    repo.git("switch", "-q", "-c", "a=b")
    repo.git("config", "branch.a=b.mergeOptions", options)
    tip = repo.git("commit-tree", "-p", "HEAD", "-m", "Next", "HEAD^{tree}")
    done = fast_forward(Git(repo.path), tip)
    assert done.returncode == 0, done.error_text
    assert repo.git("rev-parse", "a=b") == tip
    assert repo.git("status", "--porcelain") == ""
