"""The git program as verbs: no hook of anybody's runs, nothing is inherited, nothing is read as prose."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loki_hooks.errors import GitFailedError, LokiError, reason_in
from loki_hooks.system.git.git import Git, is_null, list_worktrees, require_branch_name
from loki_hooks.system.git.merges import commit_tree, merge_pairs, merge_trees
from loki_hooks.system.git.status import entries

if TYPE_CHECKING:
    from conftest import Repo


def test_no_hook_runs_unless_it_is_wanted_and_then_ours_is_off(repo: Repo, tmp_path: Path) -> None:
    for name in ("post-checkout", "reference-transaction", "post-commit", "pre-commit"):
        hook = repo.write(f".git/hooks/{name}", f'#!/bin/sh\necho "{name} $LOKI_HOOKS_DISABLE" >> {tmp_path}/ran\n')
        hook.chmod(0o755)
    git = Git(repo.path)
    git.out("checkout", "-q", "--detach")
    git.out("update-ref", "refs/heads/x", "HEAD")
    assert not (tmp_path / "ran").exists()
    Git(repo.path, hooks=True).out("commit", "-q", "--allow-empty", "-m", "x")
    assert "pre-commit 1" in (tmp_path / "ran").read_text()


def test_what_git_exports_into_hooks_never_reaches_our_git(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    tip = repo.git("rev-parse", "HEAD")
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'core.bare=true'")
    assert Git(repo.path).commit_id("HEAD") == tip


def test_nothing_of_the_users_gets_into_what_is_read_or_lands(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each setting, and each variable, that changes what git says or does here."""
    git = Git(repo.path)
    first = repo.git("rev-parse", "HEAD")
    second = repo.commit("Two", {"b.txt": "b"})
    other = repo.git("commit-tree", "-m", "other", f"{first}^{{tree}}")
    repo.git("replace", second, other)
    repo.write(".git/info/grafts", f"{second} {other}\n")
    for key, value in (
        ("log.showSignature", "true"),
        ("gpg.program", "/bin/false"),
        ("core.fsmonitor", "echo never"),
        ("core.untrackedCache", "true"),
        ("merge.verifySignatures", "true"),
        ("branch.main.mergeOptions", "--no-commit --squash"),
        ("merge.ff", "false"),
        ("status.showUntrackedFiles", "no"),
    ):
        repo.git("config", key, value)
    for name in ("GIT_EXTERNAL_DIFF", "GIT_TRACE", "GIT_NAMESPACE", "GIT_CONFIG_COUNT", "GIT_LITERAL_PATHSPECS"):
        monkeypatch.setenv(name, "1")
    repo.write("c.txt", "c")
    assert git.out("log", "-2", "--format=%H", second).split() == [second, first]
    assert [entry.path for entry in entries(git)] == ["c.txt"]
    assert git.changed_paths(first, second) == ("b.txt",)
    assert git.run("rev-parse", "HEAD").error_text == ""
    assert git.update_ref(
        "refs/heads/ahead", git.out("commit-tree", "-p", second, "-m", "x", f"{second}^{{tree}}"), "", "x"
    )
    git.out("merge", "--ff-only", "--quiet", "ahead")
    assert git.commit_id("HEAD") == git.commit_id("ahead")


@pytest.mark.parametrize(
    "revision", ["--all", "-h", "", "nowhere", "HEAD:app.py", "HEAD^{tree}", "main..main", "\x00", "a\nb"]
)
def test_what_is_no_commit_is_none(repo: Repo, revision: str) -> None:
    if "\x00" in revision:
        with pytest.raises((LokiError, ValueError)):
            Git(repo.path).commit_id(revision)
        return
    assert Git(repo.path).commit_id(revision) is None


def test_a_registration_that_another_git_is_just_writing_stops_nothing(repo: Repo) -> None:
    half = repo.path / ".git/worktrees/other"
    half.mkdir(parents=True)
    (half / "gitdir").write_text(f"{repo.path.parent}/other/.git\n")
    (half / "commondir").touch()
    (half / "HEAD").write_text("ref: refs/heads/main\n")
    writer = threading.Timer(0.15, (half / "commondir").write_text, ("../..\n",))
    writer.start()
    assert len(list_worktrees(Git(repo.path))) == 2
    writer.join()


def test_refs_move_only_from_where_they_were_seen(repo: Repo) -> None:
    git = Git(repo.path)
    first = repo.git("rev-parse", "HEAD")
    second = repo.commit("Two")
    assert git.update_ref("refs/loki/x", first, "", "new")
    assert not git.update_ref("refs/loki/x", second, "", "must not exist")
    assert not git.update_ref("refs/loki/x", second, second, "wrong old")
    assert git.update_ref("refs/loki/x", second, first, "right old")
    assert not git.delete_ref("refs/loki/x", first)
    assert git.commit_id("refs/loki/x") == second
    assert git.delete_ref("refs/loki/x", second)


def test_a_failure_names_the_command_and_gits_last_line(repo: Repo) -> None:
    with pytest.raises(GitFailedError) as caught:
        Git(repo.path).out("checkout", "nowhere")
    assert "git checkout nowhere" in caught.value.message
    assert "nowhere" in caught.value.stderr


def test_a_call_that_takes_too_long_is_ended(repo: Repo) -> None:
    done = Git(repo.path).run("-c", "alias.slow=!sleep 60", "slow", timeout=0.3)
    assert done.timed_out
    with pytest.raises(GitFailedError, match="too long"):
        Git(repo.path).out("-c", "alias.slow=!sleep 60", "slow", timeout=0.3)


def test_worktrees_as_git_lists_them(repo: Repo) -> None:
    odd = repo.path.parent / "a b\né"
    repo.git("worktree", "add", "-q", "-b", "x", str(odd))
    repo.git("worktree", "add", "-q", "--detach", str(repo.path.parent / "d"))
    repo.git("worktree", "lock", "--reason", "two\nlines", str(odd))
    main, *others = list_worktrees(Git(repo.path))
    found = {w.path: w for w in others}
    assert (main.path, main.branch) == (repo.path, "main")
    assert found[odd].branch == "x"
    assert found[odd].locked is not None
    assert found[repo.path.parent / "d"].branch == ""
    assert found[repo.path.parent / "d"].locked is None


@pytest.mark.parametrize("name", ["-x", "a..b", "a b", "", "a.lock", "@{", "a\nb", "/a", "a~"])
def test_branch_names_that_git_refuses(repo: Repo, name: str) -> None:
    with pytest.raises(LokiError):
        require_branch_name(Git(repo.path), name)


def test_changed_paths_name_both_sides_of_a_rename(repo: Repo) -> None:
    old = repo.git("rev-parse", "HEAD")
    repo.git("mv", "app.py", 'é "q".py')
    new = repo.commit("Rename")
    assert set(Git(repo.path).changed_paths(old, new)) == {"app.py", 'é "q".py'}


def test_null_ids() -> None:
    assert is_null("0" * 40)
    assert is_null("0" * 64)
    assert not is_null("0" * 39 + "1")


def test_merges_touch_no_worktree_and_name_what_conflicts(repo: Repo) -> None:
    base = repo.git("rev-parse", "HEAD")
    ours = repo.commit("Ours", {"app.py": "ours\n", "a.txt": "x"})
    repo.git("checkout", "-q", "-b", "theirs", base)
    theirs = repo.commit("Theirs", {"app.py": "theirs\n"})
    beside = repo.commit("Beside", {"app.py": "def greet():\n    return 'hello'\n", "b.txt": "y"})
    git = Git(repo.path)
    assert merge_trees(git, ours, theirs).conflicts == ("app.py",)
    clean = merge_trees(git, ours, beside)
    assert not clean.conflicts
    assert [m.tree for m in merge_pairs(git, [(ours, theirs), (ours, beside)])] == ["", clean.tree]
    commit = commit_tree(git, clean.tree, (ours, beside), "A message\n\nwith é\n")
    assert repo.git("log", "-1", "--format=%P", commit).split() == [ours, beside]
    assert repo.git("log", "-1", "--format=%b", commit).strip() == "with é"
    assert repo.git("status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("warning: a\nfatal: not here\nhint: try\n\tgit config x", "fatal: not here"),
        (
            "remote: \nremote: POLICY: no\nTo /r.git\n ! [remote rejected] main\nerror: failed to push",
            "remote: POLICY: no",
        ),
        (" ! [rejected] main -> main (fetch first)\nerror: failed to push", "[rejected] main -> main (fetch first)"),
        ("one\ntwo\n", "two"),
        ("", "no reason given"),
    ],
)
def test_why_git_gave_up_is_its_first_word_of_trouble(said: str, why: str) -> None:
    assert reason_in(said) == why
