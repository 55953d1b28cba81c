"""A worktree that is not in its place, or has lost its ``.git``: nothing is taken for gone, and when it is back it goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repo
from support.finishing import begun
from support.scripted import Yard, yard


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def shown(made: Yard, name: str) -> dict[str, object]:
    """Return what `status --json` says of the stream."""
    found = json.loads(made.repo.loki("status", "--json").out)["streams"]
    return dict(next(s for s in found if s["name"] == name))


def experiment(repo: Repo, tree: Path) -> str:
    """Commit something on a detached HEAD; stage something else; return the commit."""
    repo.git("checkout", "-q", "--detach", cwd=tree)
    commit = repo.commit("An experiment", {"try.txt": "try\n"}, cwd=tree)
    repo.write("staged.txt", "staged\n", tree)
    repo.git("add", "staged.txt", cwd=tree)
    return commit


def aside(tree: Path) -> Callable[[], object]:
    away = tree.rename(tree.with_name("aside"))
    return lambda: away.rename(tree)


def unmounted(tree: Path) -> Callable[[], object]:
    """An empty folder stands where the disk was."""
    hidden = tree.parent.parent / "hidden"
    tree.rename(hidden)
    tree.mkdir()

    def back() -> None:
        assert not any(tree.iterdir()), "nothing was written into the folder that stands in"
        tree.rmdir()
        hidden.rename(tree)

    return back


def far(tree: Path) -> Callable[[], object]:
    hidden = tree.parent.parent / "far" / "away"
    hidden.parent.mkdir()
    tree.rename(hidden)
    return lambda: hidden.rename(tree)


@pytest.mark.parametrize("take", [aside, unmounted, far])
def test_a_merged_stream_whose_worktree_is_away_keeps_everything(
    repo: Repo, take: Callable[[Path], Callable[[], object]]
) -> None:
    made = yard(repo)
    made.streams({"x": {"x.txt": "x"}})
    tree = made.tree_of("x")
    commit = experiment(repo, tree)
    before = repo.git("status", "--porcelain", "--branch", cwd=tree), repo.git("reflog", cwd=tree)
    made.run("--once")
    back = take(tree)
    made.run()
    assert made.landed() == ["x"]
    assert made.status("x") == "merged"
    assert "worktree" in str(shown(made, "x")["reason"])
    repo.loki("cleanup")
    repo.loki("doctor", *(["--fix"] if take is not aside else []))
    assert repo.git("branch", "--list", "feature/x")
    assert repo.git("for-each-ref", "--contains", commit, "refs/loki/away/feature-x")
    back()
    made.run("--once")
    assert (repo.git("status", "--porcelain", "--branch", cwd=tree), repo.git("reflog", cwd=tree)) == before
    assert repo.git("for-each-ref", "refs/loki/away") == ""
    assert "not in" not in str(shown(made, "x")["reason"])


def test_what_only_the_registration_knew_survives_its_pruning(repo: Repo) -> None:
    made = begun(repo, "a")
    tree = made.tree_of("a")
    commit = experiment(repo, tree)
    repo.git("checkout", "-q", "-f", "feature/a", cwd=tree)
    far(tree)
    made.run("--once")
    repo.git("worktree", "prune")
    repo.git("gc", "-q", "--prune=now")
    assert repo.git("cat-file", "-t", commit) == "commit"
    repo.git("branch", "-D", "feature/a")
    made.run("--once")
    assert made.status("a") == "", "branch and registration were both taken away by a person"
    assert repo.git("for-each-ref", "--format=%(refname)", "--contains", commit).startswith("refs/loki/past/feature-a/")


def test_a_branch_that_is_gone_does_not_end_a_stream_whose_worktree_is_away(repo: Repo) -> None:
    made = begun(repo, "a")
    back = far(made.tree_of("a"))
    repo.git("update-ref", "-d", "refs/heads/feature/a")
    made.run("--once")
    assert made.status("a") == "open"
    back()
    made.run("--once")
    assert made.status("a") == "open"


def test_a_renamed_parent_and_a_rebase_in_progress(repo: Repo) -> None:
    made = begun(repo, more='[worktrees]\npath = "../trees/{stream}"\n[cleanup]\nauto = false\n')
    made.open("a")
    tree = repo.path.parent / "trees" / "feature-a"
    repo.commit("Ours", {"app.py": "ours\n"}, cwd=tree)
    repo.commit("Theirs", {"app.py": "theirs\n"})
    assert repo.try_git("rebase", "main", cwd=tree).code == 1
    (tree.parent).rename(repo.path.parent / "renamed")
    made.run("--once")
    assert repo.loki("finish", "a", "--abandon").code == 1, "it is known where it is"
    moved = repo.path.parent / "renamed" / "feature-a"
    found = json.loads(repo.loki("doctor", "--json").out)
    (finding,) = [f for f in found if f["what"].endswith("was moved")]
    assert (finding["fixable"], finding["todo"]) == (True, f"git worktree repair {moved}")
    repo.loki("doctor", "--fix")
    made.run("--once")
    assert (made.record("a")["path"], made.record("a")["origin"]) == (str(moved), "spawned")
    repo.write("app.py", "both\n", moved)
    repo.git("add", "app.py", cwd=moved)
    repo.git("rebase", "--continue", cwd=moved, env={"GIT_EDITOR": "true"})
    assert repo.git("log", "-1", "--format=%s", "feature/a") == "Ours"


def test_a_copy_is_not_taken_for_the_worktree(repo: Repo) -> None:
    made = begun(repo, "a")
    tree = made.tree_of("a")
    shutil.copytree(tree, tree.with_name("copy"))
    far(tree)
    shutil.copytree(tree.with_name("copy"), tree.with_name("copy-2"))
    repo.loki("doctor", "--fix")
    assert str(tree) in repo.git("worktree", "list"), "of two folders nobody knows which"


def test_a_worktree_that_git_moved_is_followed(repo: Repo) -> None:
    made = begun(repo, "a")
    there = repo.path.parent / "there"
    repo.git("worktree", "move", str(made.tree_of("a")), str(there))
    made.run("--once")
    assert made.record("a")["path"] == str(there)
    made.repo.commit("More", {"more.txt": "m"}, cwd=there)
    (there / ".loki" / "signals" / "FEATURE_READY_a").touch()
    made.run()
    assert made.landed() == ["a"]


def test_a_person_says_that_a_worktree_was_deleted(repo: Repo) -> None:
    made = begun(repo, "a")
    tree = made.tree_of("a")
    repo.git("checkout", "-q", "--detach", cwd=tree)
    lost = repo.commit("Left behind", {"lost.txt": "lost\n"}, cwd=tree)
    repo.git("checkout", "-q", "feature/a", cwd=tree)
    commit = experiment(repo, tree)
    repo.git(
        "update-ref", "refs/worktree/mine", repo.git("commit-tree", "HEAD^{tree}", "-m", "mine", cwd=tree), cwd=tree
    )
    mine = repo.git("rev-parse", "refs/worktree/mine", cwd=tree)
    shutil.rmtree(tree)
    assert repo.loki("restore", "a").code == 1, "there is more than its branch"
    done = repo.loki("finish", "a", "--abandon")
    assert done.code == 0, done.err
    assert str(tree) not in repo.git("worktree", "list")
    repo.git("gc", "-q", "--prune=now")
    trash = repo.git("for-each-ref", "--format=%(refname)", "refs/loki/trash")
    for oid in (commit, lost, mine):
        repo.git("merge-base", "--is-ancestor", oid, trash)
    done = repo.loki("restore", "a")
    assert (done.code, commit in done.err) == (0, True), done.err
    assert (tree / "staged.txt").read_text() == "staged\n"


def test_a_new_stream_does_not_take_the_place_of_one_that_is_away(repo: Repo) -> None:
    made = begun(repo)
    place = made.tree_of("a")
    repo.git("worktree", "add", "-q", "--detach", str(place))
    commit = experiment(repo, place)
    back = far(place)
    done = repo.loki("spawn", "--no-launch", "a")
    assert (done.code, "registered" in done.err) == (1, True)
    back()
    assert repo.git("rev-parse", "HEAD", cwd=place) == commit


# Without its .git -----------------------------------------------------------------------------------------------

INSIDE = '[worktrees]\npath = ".trees/{stream}"\n'


def mine(repo: Repo) -> Callable[[], object]:
    """Leave work in the main worktree, around the others, and return what asserts that it is still there."""
    repo.write("app.py", "an hour's work\n")
    repo.write("mine.txt", "untracked\n")
    before = repo.git("status", "--porcelain", "--branch")

    def check() -> None:
        assert repo.git("status", "--porcelain", "--branch") == before
        assert (repo.path / "app.py").read_text() == "an hour's work\n"

    return check


def inside(repo: Repo) -> Yard:
    made = yard(repo, more=INSIDE)
    repo.write(".git/info/exclude", ".trees/\n")
    return made


@pytest.mark.parametrize(
    "lose", ["rm .git", "rm .git; git init -q", "echo gitdir: '{main}' > .git", "rm -rf .git *; mkdir .git"]
)
def test_a_gate_whose_tests_take_its_git_away(repo: Repo, lose: str) -> None:
    made = inside(repo)
    check = mine(repo)
    good = (made.outside / "gate.sh").read_text()
    (made.outside / "gate.sh").write_text(f"{lose.format(main=repo.path / '.git')}; echo left > left.txt; exit 1\n")
    assert json.loads(repo.loki("test", "--json").out)[0]["outcome"] == "failed"
    check()
    (made.outside / "gate.sh").write_text(good)
    assert json.loads(repo.loki("test", "--json", "--again").out)[0]["outcome"] == "passed"
    check()
    assert not (repo.path / ".trees" / "testing" / "left.txt").exists()
    assert not (repo.path / ".trees" / "testing-2").exists(), "it has its own again"


def test_a_gates_folder_that_lost_its_git_otherwise_is_left_alone(repo: Repo) -> None:
    made = inside(repo)
    repo.loki("test")
    check = mine(repo)
    tree = repo.path / ".trees" / "testing"
    (tree / ".git").unlink()
    repo.write("notes.txt", "somebody's\n", tree)
    assert json.loads(repo.loki("test", "--json", "--again").out)[0]["outcome"] == "passed"
    assert (tree / "notes.txt").read_text() == "somebody's\n"
    assert made.runs()
    check()


def test_a_session_that_takes_its_git_away(repo: Repo) -> None:
    made = inside(repo)
    check = mine(repo)
    made.agent("x", "echo work > x.txt; rm .git\n")
    made.spawn("x", "--task", "t")
    made.wait_for("x", "failed")
    made.quiet()
    check()
    assert "there is no .git" in str(shown(made, "x")["reason"])
    tree = repo.path / ".trees" / "feature-x"
    for words in (["finish", "x", "--abandon"], ["finish", "x", "--keep"], ["sync", "x"], ["resume", "x"], ["cleanup"]):
        assert repo.loki(*words).code in {0, 1}
        check()
        assert (tree / "x.txt").read_text() == "work\n"
    assert repo.git("log", "-1", "--format=%s") == "Configure"
    (finding,) = [f for f in json.loads(repo.loki("doctor", "--json").out) if "no worktree any more" in f["what"]]
    (tree / ".git").write_text(finding["todo"].partition("'")[2].partition("'")[0] + "\n")
    assert repo.git("status", "--porcelain", cwd=tree) == "?? x.txt"


def _moved_with_changes(repo: Repo) -> tuple[Yard, Path]:
    """Return a yard with a stream `a`, snapshot made, whose worktree stands in the returned folder, which git does not know."""
    made = begun(repo, "a")
    repo.write("more.txt", "more\n", made.tree_of("a"))
    made.run("--once")
    assert repo.git("for-each-ref", "refs/loki/safe")
    return made, made.tree_of("a").rename(made.tree_of("a").with_name("elsewhere"))


def test_what_was_moved_is_not_called_lost(repo: Repo) -> None:
    made, folder = _moved_with_changes(repo)
    told = repo.loki("status").err
    assert "doctor --fix" in told
    assert "restore a`" not in told
    assert "nothing to restore" in repo.loki("restore", "--list").err
    repo.loki("doctor", "--fix")
    assert made.record("a")["path"] == str(folder)
    assert "is gone" not in repo.loki("status").err
    made.quiet()


def test_a_stream_follows_its_worktree_that_restore_made_known(repo: Repo) -> None:
    made, folder = _moved_with_changes(repo)
    assert repo.loki("restore", str(folder)).code == 0
    assert made.record("a")["path"] == str(folder)
    done = repo.loki("finish", "a", "--merge")
    assert done.code == 1
    assert "uncommitted work: more.txt" in done.err
