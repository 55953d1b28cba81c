"""The gates as git and the frameworks ask them, with the native installation and a gate that fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Repo, call

RED = "[gates.unit]\ncommand = ['sh', '-c', 'printf \"\\u001b[31mred\\n\"; exit 1']\n[environment]\nsetup = false\n"


@pytest.fixture
def gated(repo: Repo, tmp_path: Path) -> Repo:
    """``main`` is gated by a test that always fails; ``other`` is not gated."""
    repo.commit("gate", {"loki-hooks.toml": RED})
    repo.git("branch", "other")
    repo.git("init", "-q", "--bare", str(tmp_path / "remote"))
    assert repo.loki("install").code == 0
    return repo


def test_a_red_branch_is_refused_with_the_tests_words(gated: Repo, tmp_path: Path) -> None:
    done = gated.try_git("push", "-q", str(tmp_path / "remote"), "other", "main")
    assert done.code != 0
    assert "red" in done.err
    assert "\x1b" not in done.err
    assert "loki-hooks: loki-hooks:" not in done.err
    assert gated.git("for-each-ref", cwd=tmp_path / "remote") == ""


def test_tags_deletions_and_branches_that_are_not_gated_go(gated: Repo, tmp_path: Path) -> None:
    remote = str(tmp_path / "remote")
    gated.git("tag", "v1")
    gated.git("push", "-q", remote, "other", "v1")
    gated.git("push", "-q", remote, ":other", ":v1")
    gated.git("push", "-q", "--no-verify", remote, "main")
    gated.git("push", "-q", remote, "main")  # nothing to push


def test_a_merge_by_hand_of_what_fails_is_refused(gated: Repo) -> None:
    gated.git("switch", "-q", "-c", "feature/a")
    gated.commit("a", {"a": "a"})
    gated.git("switch", "-q", "main")
    gated.commit("b", {"b": "b"})
    head = gated.git("rev-parse", "HEAD")
    assert gated.try_git("merge", "--no-ff", "-m", "m", "feature/a").code != 0
    assert gated.git("rev-parse", "HEAD") == head


def ask_as_framework(repo: Repo, **more: str) -> int:
    env = {"PRE_COMMIT": "1", "PRE_COMMIT_REMOTE_NAME": "origin", "PRE_COMMIT_REMOTE_URL": "u", **more}
    return call([str(repo.path / ".git" / "loki" / "hooks" / "pre-push")], repo.path, env, stdin="").code


def test_under_a_framework_the_ref_is_in_variables(gated: Repo) -> None:
    """With a history that is wholly new to the remote they do not say the commit."""
    head = gated.git("rev-parse", "main")
    main = {"PRE_COMMIT_LOCAL_BRANCH": "refs/heads/main", "PRE_COMMIT_REMOTE_BRANCH": "refs/heads/main"}
    assert ask_as_framework(gated, **main, PRE_COMMIT_TO_REF=head, PRE_COMMIT_FROM_REF="0" * 40) == 1
    assert ask_as_framework(gated, **main) == 1
    assert ask_as_framework(gated, PRE_COMMIT_LOCAL_BRANCH="other", PRE_COMMIT_REMOTE_BRANCH="refs/heads/other") == 0
    unknown = {"PRE_COMMIT_LOCAL_BRANCH": "nowhere", "PRE_COMMIT_REMOTE_BRANCH": "refs/heads/main"}
    assert ask_as_framework(gated, **unknown) == 1


def test_where_our_script_stands_below_the_frameworks_it_has_answered_already(gated: Repo) -> None:
    hooks = gated.path / ".git" / "hooks"
    (hooks / "pre-push").rename(hooks / "pre-push.legacy")
    main = {"PRE_COMMIT_LOCAL_BRANCH": "refs/heads/main", "PRE_COMMIT_REMOTE_BRANCH": "refs/heads/main"}
    assert ask_as_framework(gated, **main) == 0
    (hooks / "pre-push.legacy").chmod(0o644)  # then no framework ran it
    assert ask_as_framework(gated, **main) == 1


def test_words_that_are_not_understood_close_the_gate(gated: Repo) -> None:
    script = gated.path / ".git" / "loki" / "hooks" / "pre-push"
    done = call([str(script), "origin", "url"], gated.path, stdin="what is this\n")
    assert done.code == 1
    assert "cannot be understood" in done.err


def test_after_git_clean_the_gate_still_gates(gated: Repo, tmp_path: Path) -> None:
    gated.git("clean", "-q", "-xdff")
    assert not (gated.path / ".loki").exists()
    assert gated.try_git("push", "-q", str(tmp_path / "remote"), "main").code != 0
