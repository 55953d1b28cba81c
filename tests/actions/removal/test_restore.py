"""`restore`: back comes what went, unless something is in its place; and what lost its other half finds it."""

from __future__ import annotations

import json
import shutil

import pytest
from conftest import Repo
from support.finishing import begun, listed, verdict
from support.scripted import Yard

from loki_hooks.actions.removal.retire import facts_of
from loki_hooks.actions.requests import finish
from loki_hooks.system.clock import stamp
from loki_hooks.system.git.status import Care


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def landed(repo: Repo, *names: str) -> Yard:
    """Streams that landed and were cleaned up."""
    made = begun(repo, *names, more="")
    for name in names:
        (made.tree_of(name) / ".loki" / "CONTINUITY.md").write_text(f"notes of {name}\n")
        made.ready(name)
    made.run()
    assert [made.status(name) for name in names] == ["archived"] * len(names)
    return made


def test_what_clean_up_took_comes_back_and_is_kept(repo: Repo) -> None:
    made = landed(repo, "a")
    (entry,) = listed(made)
    assert (entry["name"], entry["branch"], entry["uncommitted"]) == ("a", "feature/a", None)
    tree = made.tree_of("a")
    assert not tree.exists()
    done = repo.loki("restore", "a")
    assert done.code == 0, done.err
    assert repo.git("rev-parse", "HEAD", cwd=tree) == entry["commit"]
    assert (tree / ".loki" / "CONTINUITY.md").read_text() == "notes of a\n"
    assert made.status("a") == "kept"
    made.run()
    assert repo.loki("cleanup").code == 0
    assert tree.is_dir(), "clean-up does not take it again"
    assert verdict(made, "a")[0] == "keep"
    assert repo.loki("finish", "a", "--abandon").code == 0
    assert len(listed(made)) == 2


def test_it_comes_back_without_the_archive_too(repo: Repo) -> None:
    made = landed(repo, "a")
    shutil.rmtree(made.loki_dir / "archive")
    assert repo.loki("restore", "feature-a").code == 0
    assert repo.git("symbolic-ref", "--short", "HEAD", cwd=made.tree_of("a")) == "feature/a"


def test_after_git_clean_the_uncommitted_work_still_comes_back(repo: Repo) -> None:
    made = begun(repo, "a")
    repo.write("new.txt", "n\n", made.tree_of("a"))
    assert repo.loki("finish", "a", "--abandon").code == 0
    repo.git("clean", "-q", "-xdff")
    assert repo.loki("restore", "a").code == 0
    assert (made.tree_of("a") / "new.txt").read_text() == "n\n"


@pytest.mark.parametrize("clash", ["stream", "branch", "path", "checked-out"])
def test_what_is_in_its_place_stays(repo: Repo, clash: str) -> None:
    made = landed(repo, "a")
    tip = listed(made)[0]["commit"]
    if clash == "stream":
        made.open("a")
    elif clash == "branch":
        repo.git("branch", "feature/a", "main~1")
    elif clash == "path":
        repo.write("mine", "mine", made.tree_of("a"))
    else:
        repo.git("worktree", "add", "-q", "-b", "feature/a", "../elsewhere", tip)
    refs = repo.git("for-each-ref")
    trees = repo.git("worktree", "list")
    done = repo.loki("restore", "a")
    assert done.code == 1, done.err
    assert "hint:" in done.err
    assert repo.git("worktree", "list") == trees
    if clash != "checked-out":  # that one is adopted by the way
        assert repo.git("for-each-ref") == refs


def test_an_older_one_comes_back_by_its_time(repo: Repo) -> None:
    made = landed(repo, "a")
    made.open("a")
    repo.commit("Second", {"second.txt": "2"}, cwd=made.tree_of("a"))
    assert repo.loki("finish", "a", "--abandon").code == 0
    newer, older = listed(made)
    assert newer["time"] > older["time"]
    assert repo.loki("restore", f"feature-a/{older['time']}").code == 0
    assert repo.git("rev-parse", "feature/a") == older["commit"]


def test_a_name_that_nothing_has(repo: Repo) -> None:
    made = landed(repo, "auth")
    done = repo.loki("restore", "auht")
    assert (done.code, "did you mean auth" in done.err) == (2, True)
    assert repo.loki("restore").code == repo.loki("restore", "auth", "--list").code == 2
    assert repo.loki("restore", "--list").out.startswith("NAME")
    assert made.status("auth") == "archived"


# Orphans ----------------------------------------------------------------------------------------------------


def orphan(made: Yard, what: str) -> str:
    """Return the command that `status` gives for the only orphan of this sort."""
    done = made.repo.loki("status", "--json")
    assert done.code == 0, done.err
    (found,) = [o for o in json.loads(done.out)["orphans"] if what in o["what"]]
    return str(found["command"])


def follow(made: Yard, command: str) -> None:
    """Do what the command says."""
    program, *words = command.replace("'", "").split()
    done = made.repo.loki(*words) if program == "loki-hooks" else made.repo.try_git(*words)
    assert done.code == 0, done.err


def test_a_stream_whose_folder_is_gone(repo: Repo) -> None:
    made = begun(repo, "a")
    shutil.rmtree(made.tree_of("a"))
    follow(made, orphan(made, "worktree is gone"))
    assert (made.tree_of("a") / "a.txt").exists()
    assert made.status("a") == "open"


def test_a_branch_without_worktree_and_stream(repo: Repo) -> None:
    made = begun(repo)
    repo.git("branch", "feature/lonely")
    follow(made, orphan(made, "a branch without"))
    assert made.status("lonely") == "open"


def test_a_registration_without_folder(repo: Repo) -> None:
    made = begun(repo)
    repo.git("worktree", "add", "-q", "-b", "other", "../other")
    shutil.rmtree(repo.path.parent / "other")
    follow(made, orphan(made, "folder is gone"))
    assert "other" not in repo.git("worktree", "list")


def test_a_folder_without_registration_loses_nothing(repo: Repo) -> None:
    made = begun(repo, "a")
    tree = made.tree_of("a")
    repo.write("new.txt", "n\n", tree)
    repo.write("a.txt", "changed\n", tree)
    shutil.rmtree(repo.git("rev-parse", "--absolute-git-dir", cwd=tree))
    follow(made, orphan(made, "that git does not know"))
    assert repo.git("status", "--porcelain", cwd=tree).splitlines() == [" M a.txt", "?? new.txt"]
    assert repo.git("symbolic-ref", "--short", "HEAD", cwd=tree) == "feature/a"


def test_a_moved_worktree_is_repaired(repo: Repo) -> None:
    made = begun(repo, "a")
    moved = made.tree_of("a").rename(repo.path.parent / "moved")
    follow(made, orphan(made, "that git does not know"))
    assert str(moved) in repo.git("worktree", "list")


def test_a_worktree_without_a_session_and_files_that_two_touch(repo: Repo) -> None:
    made = begun(repo, "a", "b")
    for name in ("a", "b"):
        repo.commit("Both", {"app.py": f"# {name}\n"}, cwd=made.tree_of(name))
    found = json.loads(repo.loki("status", "--json").out)
    assert found["shared_files"] == {"app.py": ["a", "b"]}
    assert "a and b touch app.py" in repo.loki("status").out


def test_what_a_killed_abandon_had_taken_out_comes_back_into_the_worktree_that_still_stands(repo: Repo) -> None:
    made = begun(repo, "a")
    tree = made.tree_of("a")
    repo.write("loose.txt", "loose", cwd=tree)
    repo.write("app.py", "# changed\n", cwd=tree)
    repo.write("staged.txt", "staged", cwd=tree)
    repo.git("add", "staged.txt", cwd=tree)
    context = made.context()
    record = context.require_stream("a")
    finish._empty(context, record, facts_of(context, record, Care.CONTENT), stamp())  # and killed here
    assert repo.git("status", "--porcelain", cwd=tree) == ""
    assert repo.loki("restore", "a").code == 0
    seen = repo.git("status", "--porcelain", cwd=tree).split()
    assert sorted(seen) == ["??", "A", "M", "app.py", "loose.txt", "staged.txt"]
    assert repo.loki("restore", "a").code == 1  # it is not clean any more: nothing is put over it
