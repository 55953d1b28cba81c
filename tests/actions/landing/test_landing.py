"""Landing (README, "How it lands"): nothing of the user's is touched, whatever they are in the middle of.

Each obstacle is met twice: as it stands (nothing moves, and not a byte, index entry, ref or stash of the user's
differs afterwards), and when it is gone (then it lands).
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Repo, eventually
from support.scripted import snapshot, yard

from loki_hooks.actions.context import Context
from loki_hooks.actions.landing.advance import Advance, advance
from loki_hooks.system.locks import hold_pass
from loki_hooks.system.site import discover


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


@pytest.fixture
def landing(repo: Repo) -> str:
    """A commit that changes ``app.py``, adds ``new.txt`` and ``deep/er/new.txt``, and removes ``gone.txt``."""
    repo.commit(
        "More", {"other.py": "O = 1\n", "gone.txt": "gone\n", ".gitignore": "*.log\nignored/\n", "mode.sh": "x\n"}
    )
    repo.git("switch", "-q", "-c", "feature/x")
    repo.git("rm", "-q", "gone.txt")
    commit = repo.commit(
        "Work", {"app.py": "def greet():\n    return 'hi'\n", "new.txt": "new\n", "deep/er/new.txt": "new\n"}
    )
    repo.git("switch", "-q", "main")
    return commit


def land(repo: Repo, commit: str) -> Advance:
    context = Context(discover(repo.path))
    with hold_pass(context.site) as lock:
        return advance(context, lock, commit, repo.git("rev-parse", "main"), "test")


def everything(repo: Repo, *more: Path) -> dict[str, Any]:
    """Return all of the user's that a landing could touch."""
    found: dict[str, Any] = {"refs": repo.git("for-each-ref"), "worktrees": repo.git("worktree", "list", "--porcelain")}
    for place in (repo.path, *more):
        git_dir = Path(repo.git("rev-parse", "--absolute-git-dir", cwd=place))
        found[str(place)] = {
            "files": snapshot(place),
            "index": repo.git("ls-files", "--stage", "-v", cwd=place),
            "head": (git_dir / "HEAD").read_text(),
            "status": repo.git("--no-optional-locks", "status", "--porcelain", "--ignored", cwd=place),
            "operation": sorted(
                p.name for p in git_dir.iterdir() if p.name not in {"COMMIT_EDITMSG", "index", "worktrees", "loki"}
            ),
            "stash": repo.git("stash", "list"),
        }
    return found


def refused(repo: Repo, commit: str, *more: Path) -> str:
    """Land must wait, and leave everything as it is; return why."""
    before = everything(repo, *more)
    result = land(repo, commit)
    assert not result.moved
    assert result.reason
    assert everything(repo, *more) == before
    return result.reason


def landed(repo: Repo, commit: str) -> None:
    result = land(repo, commit)
    assert result == Advance(True)
    assert repo.git("rev-parse", "main") == commit


def test_on_main_with_a_clean_tree_it_lands_and_the_files_follow(repo: Repo, landing: str) -> None:
    landed(repo, landing)
    assert (repo.path / "new.txt").read_text() == "new\n"
    assert not (repo.path / "gone.txt").exists()
    assert repo.git("status", "--porcelain") == ""
    assert repo.git("symbolic-ref", "HEAD") == "refs/heads/main"


def test_the_user_is_on_another_branch_with_changes(repo: Repo, landing: str) -> None:
    repo.git("switch", "-q", "-c", "mine")
    repo.write("app.py", "mine, unsaved\n")
    repo.write("new.txt", "mine, untracked\n")
    repo.write("other.py", "mine, staged\n")
    repo.git("add", "other.py")
    before = everything(repo)
    landed(repo, landing)
    after = everything(repo)
    assert after.pop("refs") != before.pop("refs")
    assert after == before


def test_detached_and_held_by_nobody_it_moves_by_compare_and_swap(repo: Repo, landing: str) -> None:
    repo.git("switch", "-q", "--detach")
    before = everything(repo)
    landed(repo, landing)
    after = everything(repo)
    assert after[str(repo.path)] == before[str(repo.path)]
    assert "loki-hooks" in repo.git("reflog", "show", "-1", "main")


def test_a_stale_old_tip_never_moves(repo: Repo, landing: str) -> None:
    old = repo.git("rev-parse", "main")
    repo.commit("Meanwhile", {"meanwhile.txt": "x"})
    before = everything(repo)
    site = discover(repo.path)
    with hold_pass(site) as lock:
        assert not advance(Context(site), lock, landing, old, "test").moved
    assert "does not contain" in land(repo, landing).reason
    assert everything(repo) == before


Mess = Callable[[Repo], Callable[[], object]]
"""Makes an obstacle; returns what takes it away again."""


def staged(repo: Repo) -> Callable[[], object]:
    repo.write("other.py", "staged\n")
    repo.git("add", "other.py")
    return lambda: repo.git("reset", "-q", "--hard")


def staged_new(repo: Repo) -> Callable[[], object]:
    repo.write("brand-new.txt", "staged\n")
    repo.git("add", "brand-new.txt")
    return lambda: repo.git("rm", "-q", "--cached", "brand-new.txt")


def staged_rename(repo: Repo) -> Callable[[], object]:
    repo.git("mv", "other.py", "renamed.py")
    return lambda: repo.git("mv", "renamed.py", "other.py")


def intent_to_add(repo: Repo) -> Callable[[], object]:
    repo.write("new.txt", "mine\n")
    repo.git("add", "--intent-to-add", "new.txt")

    def undo() -> None:
        repo.git("rm", "-q", "--cached", "new.txt")
        (repo.path / "new.txt").unlink()

    return undo


def edits_a_landing_file(repo: Repo) -> Callable[[], object]:
    repo.write("app.py", "unsaved\n")
    return lambda: repo.git("checkout", "-q", "app.py")


def deleted_a_landing_file(repo: Repo) -> Callable[[], object]:
    (repo.path / "app.py").unlink()
    return lambda: repo.git("checkout", "-q", "app.py")


def edits_a_file_that_is_removed(repo: Repo) -> Callable[[], object]:
    repo.write("gone.txt", "still needed\n")
    return lambda: repo.git("checkout", "-q", "gone.txt")


def mode_of_a_landing_file(repo: Repo) -> Callable[[], object]:
    (repo.path / "app.py").chmod(0o755)
    return lambda: (repo.path / "app.py").chmod(0o644)


def untracked_in_the_way(repo: Repo) -> Callable[[], object]:
    path = repo.write("new.txt", "mine\n")
    return path.unlink


def same_content_untracked_in_the_way(repo: Repo) -> Callable[[], object]:
    path = repo.write("new.txt", "new\n")
    return path.unlink


def ignored_in_the_way(repo: Repo) -> Callable[[], object]:
    repo.write(".git/info/exclude", "new.txt\n")
    path = repo.write("new.txt", "precious, ignored\n")
    return path.unlink


def ignored_folder_in_the_way(repo: Repo) -> Callable[[], object]:
    repo.write(".git/info/exclude", "deep/\n")
    path = repo.write("deep/er/new.txt", "precious, ignored\n")
    return path.unlink


def untracked_file_where_a_folder_lands(repo: Repo) -> Callable[[], object]:
    path = repo.write("deep", "a file\n")
    return path.unlink


def untracked_folder_where_a_file_lands(repo: Repo) -> Callable[[], object]:
    path = repo.write("new.txt/inside", "mine\n")

    def undo() -> None:
        path.unlink()
        path.parent.rmdir()

    return undo


def untracked_link_in_the_way(repo: Repo) -> Callable[[], object]:
    (repo.path / "new.txt").symlink_to("other.py")
    return (repo.path / "new.txt").unlink


def assumed_unchanged(repo: Repo) -> Callable[[], object]:
    repo.git("update-index", "--assume-unchanged", "app.py")
    repo.write("app.py", "hidden edit\n")

    def undo() -> None:
        repo.git("update-index", "--no-assume-unchanged", "app.py")
        repo.git("checkout", "-q", "app.py")

    return undo


def skipped_in_the_worktree(repo: Repo) -> Callable[[], object]:
    repo.git("update-index", "--skip-worktree", "app.py")
    repo.write("app.py", "hidden edit\n")

    def undo() -> None:
        repo.git("update-index", "--no-skip-worktree", "app.py")
        repo.git("checkout", "-q", "app.py")

    return undo


def merge_with_conflict(repo: Repo) -> Callable[[], object]:
    repo.git("branch", "-q", "side", "HEAD~1")
    repo.git("switch", "-q", "side")
    repo.commit("Side", {"other.py": "O = 2\n"})
    repo.git("switch", "-q", "main")
    assert repo.try_git("merge", "-q", "side").code == 1
    return lambda: repo.git("merge", "--abort")


def merge_not_committed(repo: Repo) -> Callable[[], object]:
    repo.git("branch", "-q", "side", "HEAD~1")
    repo.git("switch", "-q", "side")
    repo.commit("Side", {"side.py": "O = 2\n"})
    repo.git("switch", "-q", "main")
    repo.git("merge", "-q", "--no-commit", "side")
    return lambda: repo.git("merge", "--abort")


def rebase_of_main(repo: Repo) -> Callable[[], object]:
    """In its middle main is checked out nowhere, and yet must not move."""
    repo.git("branch", "-q", "side", "HEAD~1")
    repo.git("switch", "-q", "side")
    repo.commit("Side", {"other.py": "O = 2\n"})
    repo.git("switch", "-q", "main")
    assert repo.try_git("rebase", "-q", "side").code == 1
    return lambda: repo.git("rebase", "--abort")


def rebase_that_updates_main_too(repo: Repo) -> Callable[[], object]:
    """`rebase --update-refs` of a branch stacked on main moves main when it ends."""
    repo.git("branch", "-q", "side", "HEAD~1")
    repo.git("switch", "-q", "side")
    repo.commit("Side", {"stacked.py": "O = 2\n"})
    repo.git("switch", "-q", "-c", "stacked", "main")
    repo.commit("Stacked", {"stacked.py": "O = 3\n"})
    assert repo.try_git("rebase", "-q", "--update-refs", "side").code == 1
    return lambda: (repo.git("rebase", "--abort"), repo.git("switch", "-q", "main"))


def bisect_of_main(repo: Repo) -> Callable[[], object]:
    repo.git("bisect", "start", "HEAD", "HEAD~1")
    repo.git("checkout", "-q", "HEAD~1")
    return lambda: repo.git("bisect", "reset")


def cherry_pick_stopped(repo: Repo) -> Callable[[], object]:
    repo.git("branch", "-q", "side", "HEAD~1")
    repo.git("switch", "-q", "side")
    commit = repo.commit("Side", {"other.py": "O = 2\n"})
    repo.git("switch", "-q", "main")
    assert repo.try_git("cherry-pick", commit).code == 1
    return lambda: repo.git("cherry-pick", "--abort")


def revert_not_committed(repo: Repo) -> Callable[[], object]:
    repo.git("revert", "--no-commit", "HEAD")
    return lambda: repo.git("revert", "--abort")


def index_locked(repo: Repo) -> Callable[[], object]:
    path = repo.write(".git/index.lock", "")
    return path.unlink


def index_broken(repo: Repo) -> Callable[[], object]:
    path = repo.path / ".git" / "index"
    before = path.read_bytes()
    path.write_bytes(b"DIRC broken")
    return lambda: path.write_bytes(before)


@pytest.mark.parametrize(
    "mess",
    [
        staged,
        staged_new,
        staged_rename,
        intent_to_add,
        edits_a_landing_file,
        deleted_a_landing_file,
        edits_a_file_that_is_removed,
        mode_of_a_landing_file,
        untracked_in_the_way,
        same_content_untracked_in_the_way,
        ignored_in_the_way,
        ignored_folder_in_the_way,
        untracked_file_where_a_folder_lands,
        untracked_folder_where_a_file_lands,
        untracked_link_in_the_way,
        assumed_unchanged,
        skipped_in_the_worktree,
        merge_with_conflict,
        merge_not_committed,
        rebase_of_main,
        rebase_that_updates_main_too,
        bisect_of_main,
        cherry_pick_stopped,
        revert_not_committed,
        index_locked,
    ],
    ids=lambda f: f.__name__,
)
@pytest.mark.parametrize("settings", ["plain", "helpful"])
def test_what_is_in_the_way_stays_as_it_is_and_then_it_lands(
    repo: Repo, landing: str, mess: Mess, settings: str
) -> None:
    if settings == "helpful":  # what users set to have git stash, rebase and overwrite for them
        if mess not in {edits_a_landing_file, untracked_in_the_way, ignored_in_the_way, staged, assumed_unchanged}:
            return
        for key in ("merge.autoStash", "rebase.autoStash", "pull.rebase", "submodule.recurse", "checkout.guess"):
            repo.git("config", key, "true")
        repo.git("config", "merge.ff", "false")
        repo.git("config", "status.showUntrackedFiles", "no")
        repo.git("config", "status.relativePaths", "true")
        repo.git("config", "core.quotePath", "true")
    undo = mess(repo)
    refused(repo, landing)
    undo()
    landed(repo, landing)


def test_an_index_that_git_cannot_read_stops_the_landing(repo: Repo, landing: str) -> None:
    undo = index_broken(repo)
    before = (repo.path / ".git" / "index").read_bytes(), repo.git("rev-parse", "main")
    assert not land(repo, landing).moved
    assert ((repo.path / ".git" / "index").read_bytes(), repo.git("rev-parse", "main")) == before
    undo()
    landed(repo, landing)


@pytest.mark.parametrize("setting", ["plain", "autostash"])
def test_edits_and_files_beside_the_landing_paths_stay_and_it_lands(repo: Repo, landing: str, setting: str) -> None:
    if setting == "autostash":
        repo.git("config", "merge.autoStash", "true")
    mine = {
        "other.py": "unsaved\n",
        "note.txt": "untracked\n",
        "debug.log": "ignored\n",
        "ignored/data": "x\n",
        "deep/er/mine.txt": "untracked beside\n",
        "a b\nc.txt": "odd name\n",
    }
    for name, text in mine.items():
        repo.write(name, text)
    landed(repo, landing)
    assert {name: (repo.path / name).read_text() for name in mine} == mine
    assert repo.git("diff", "--name-only") == "other.py"
    assert repo.git("stash", "list") == ""


def test_an_ignored_folder_beside_the_landing_file_in_it_is_not_in_the_way(repo: Repo, landing: str) -> None:
    """The folder is ignored and holds the user's caches; a tracked file lands in it."""
    repo.write(".git/info/exclude", "deep/\n")
    repo.write("deep/er/cache", "mine\n")
    landed(repo, landing)
    assert (repo.path / "deep/er/cache").read_text() == "mine\n"


def test_main_in_a_linked_worktree_moves_there_and_only_there(repo: Repo, landing: str) -> None:
    repo.git("switch", "-q", "-c", "mine")
    place = repo.path.parent / "linked"
    repo.git("worktree", "add", "-q", str(place), "main")
    repo.write("app.py", "unsaved\n", place)
    assert "changes on paths that land" in refused(repo, landing, place)
    repo.git("checkout", "-q", "app.py", cwd=place)
    repo.write("app.py", "mine, in the main worktree\n")
    landed(repo, landing)
    assert (place / "new.txt").read_text() == "new\n"
    assert repo.git("status", "--porcelain", cwd=place) == ""
    assert (repo.path / "app.py").read_text() == "mine, in the main worktree\n"


def test_main_in_two_worktrees_must_be_free_in_both(repo: Repo, landing: str) -> None:
    """git allows it with --force; moving it in the one would make the other look as if files were deleted."""
    place = repo.path.parent / "linked"
    repo.git("worktree", "add", "-q", "--force", str(place), "main")
    before = everything(repo, place)
    result = land(repo, landing)
    if result.moved:
        assert repo.git("status", "--porcelain", cwd=place) == ""
    else:
        assert everything(repo, place) == before


def test_a_worktree_that_is_missing_holds_the_branch_still(repo: Repo, landing: str) -> None:
    """It may be on a disk that is not plugged in now."""
    repo.git("switch", "-q", "-c", "mine")
    place = repo.path.parent / "linked"
    repo.git("worktree", "add", "-q", str(place), "main")
    place.rename(place.with_name("elsewhere"))
    assert not land(repo, landing).moved
    place.with_name("elsewhere").rename(place)
    landed(repo, landing)


@pytest.mark.parametrize(
    "words", [["commit", "--allow-empty"], ["commit", "--amend"], ["-c", "core.abbrev=9", "commit", "--amend"]]
)
def test_a_commit_whose_editor_is_open_is_not_disturbed(
    repo: Repo, landing: str, words: list[str], tmp_path: Path
) -> None:
    opened = tmp_path / "opened"
    editor = repo.write(
        "../editor.sh",
        f'echo $PPID > {opened}\nwhile [ ! -e {tmp_path}/close ]; do sleep 0.05; done\necho Mine > "$1"\n',
    )
    child = subprocess.Popen(["git", *words], cwd=repo.path, env={**os.environ, "GIT_EDITOR": f"sh {editor}"})
    eventually(opened.exists)
    reason = refused(repo, landing)
    assert "git is at work" in reason
    (tmp_path / "close").touch()
    assert child.wait(20) == 0
    assert repo.git("log", "-1", "--format=%s") == "Mine"


def test_a_bare_repository_with_main_in_a_worktree_and_without(repo: Repo, landing: str, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    repo.git("clone", "-q", "--bare", str(repo.path), str(bare))
    other = Repo(bare)
    landed(other, landing)
    other.git("update-ref", "refs/heads/main", f"{landing}~1")
    place = tmp_path / "main-of-bare"
    other.git("worktree", "add", "-q", str(place), "main")
    landed(other, landing)
    assert (place / "new.txt").exists()


def test_a_waiting_landing_is_said_once_a_pass_and_lands_exactly_what_was_tested(repo: Repo) -> None:
    made = yard(repo)
    made.streams({"a": {"app.py": "A = 1\n"}})
    repo.write("app.py", "unsaved\n")
    before = repo.git("rev-parse", "main")
    made.run()
    tested = made.events("testing")[-1]["commit"]
    assert repo.git("rev-parse", "main") == before
    assert (repo.path / "app.py").read_text() == "unsaved\n"
    assert "changes on paths that land" in made.record("a")["reason"]
    waits = len(made.events("landing-waits"))
    assert 1 <= waits <= 4
    time.sleep(1.1)  # a second later a merge commit that is made again would be another one
    made.run()
    assert len(made.events("landing-waits")) <= waits + 2  # `run` looks twice
    repo.git("checkout", "-q", "app.py")
    made.run()
    assert made.landed() == ["a"]
    assert repo.git("rev-parse", "main") == tested
    assert len(made.runs()) == 1


def test_a_hook_of_the_user_never_runs_while_it_lands(repo: Repo, landing: str) -> None:
    """pre-commit would stash the user's edits in it."""
    for name in ("post-merge", "pre-merge-commit", "post-checkout", "reference-transaction", "post-index-change"):
        hook = repo.write(f".git/hooks/{name}", f"#!/bin/sh\necho {name} >> {repo.path}/../ran\nexit 1\n")
        hook.chmod(0o755)
    landed(repo, landing)
    assert not (repo.path / "../ran").exists()
