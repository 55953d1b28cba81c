"""Clean-up, through the command: each reason keeps the stream; what goes is archived and pinned, and comes back."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import call
from support.scripted import Yard, snapshot, yard

if TYPE_CHECKING:
    from conftest import Repo


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def merged(repo: Repo, *names: str) -> Yard:
    """Streams whose work somebody merged by hand, with nobody having cleaned up yet."""
    made = yard(repo)
    config = (repo.path / "loki-hooks.toml").read_text()
    repo.commit("By hand", {"loki-hooks.toml": config + "[cleanup]\nauto = false\n"})
    made.open(*names)
    for name in names:
        repo.commit(f"Work of {name}", {f"{name}.txt": "x"}, cwd=made.tree_of(name))
        repo.git("merge", "-q", "--no-ff", "-m", f"Merge {name}", f"feature/{name}")
    return made


def cleanup(made: Yard, *words: str) -> dict[str, dict[str, Any]]:
    done = made.repo.loki("cleanup", "--json", *words)
    assert done.code == 0, done.err
    return {entry["stream"].removeprefix("feature-"): entry for entry in json.loads(done.out)}


Make = Callable[[Yard, Path], object]


def modified(made: Yard, tree: Path) -> None:
    (tree / "app.py").write_text("unsaved\n")


def staged(made: Yard, tree: Path) -> None:
    (tree / "app.py").write_text("unsaved\n")
    made.repo.git("add", "app.py", cwd=tree)


def untracked(made: Yard, tree: Path) -> None:
    (tree / "deep").mkdir()
    (tree / "deep" / "note.txt").write_text("x")


def ignored(made: Yard, tree: Path) -> None:
    (tree / "data.log").write_text("a local database, say")


def ignored_folder(made: Yard, tree: Path) -> None:
    (tree / "secret").mkdir()
    (tree / "secret" / "key").write_text("x")


def own_env(made: Yard, tree: Path) -> None:
    (made.path / ".git" / "info" / "exclude").write_text(".env\n")
    (tree / ".env").write_text("SECRET=1\n")


def locked(made: Yard, tree: Path) -> None:
    made.repo.git("worktree", "lock", "--reason", "on my disk", str(tree))


def rebase(made: Yard, tree: Path) -> None:
    made.repo.git("branch", "-q", "side", "HEAD~2")
    made.repo.git("switch", "-q", "side", cwd=tree)
    (tree / "x.txt").write_text("other\n")
    made.repo.git("add", "-A", cwd=tree)
    made.repo.git("commit", "-q", "-m", "Side", cwd=tree)
    made.repo.git("switch", "-q", "feature/x", cwd=tree)
    assert made.repo.try_git("rebase", "side", cwd=tree).code


def bisect(made: Yard, tree: Path) -> None:
    made.repo.git("bisect", "start", cwd=tree)


def detached_commit(made: Yard, tree: Path) -> None:
    made.repo.git("checkout", "-q", "--detach", cwd=tree)
    made.repo.commit("On no branch", {"lonely.txt": "x"}, cwd=tree)


def stash(made: Yard, tree: Path) -> None:
    (tree / "app.py").write_text("for later\n")
    made.repo.git("stash", "-q", cwd=tree)


def more_work(made: Yard, tree: Path) -> None:
    made.repo.commit("More", {"more.txt": "x"}, cwd=tree)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (modified, "uncommitted"),
        (staged, "uncommitted"),
        (untracked, "note.txt"),
        (ignored, "data.log"),
        (ignored_folder, "secret"),
        (own_env, ".env"),
        (locked, "on my disk"),
        (rebase, "in progress"),
        (bisect, "bisect"),
        (detached_commit, ""),
        (stash, "stash"),
        (more_work, ""),
    ],
    ids=lambda v: v.__name__ if callable(v) else "",
)
def test_each_reason_keeps_the_worktree_the_branch_and_every_file(repo: Repo, make: Make, reason: str) -> None:
    made = merged(repo, "x")
    tree = made.tree_of("x")
    make(made, tree)
    before = (
        snapshot(tree),
        repo.git("for-each-ref", "refs/heads/"),
        repo.git("stash", "list"),
        repo.git("worktree", "list"),
    )
    for words in (["--dry-run"], []):
        verdict = cleanup(made, *words)["x"]
        assert verdict["action"] == "keep"
        assert reason in "; ".join(verdict["reasons"]), verdict
        after = (
            snapshot(tree),
            repo.git("for-each-ref", "refs/heads/"),
            repo.git("stash", "list"),
            repo.git("worktree", "list"),
        )
        assert after == before


def test_a_live_process_inside_keeps_it(repo: Repo) -> None:
    made = merged(repo, "x")
    inside = made.tree_of("x") / "deep"
    inside.mkdir()
    child = subprocess.Popen(["sleep", "60"], cwd=inside)
    try:
        verdict = cleanup(made)["x"]
        assert verdict["action"] == "keep"
        assert f"pid {child.pid}" in "; ".join(verdict["reasons"])
    finally:
        child.kill()
        child.wait()
    assert cleanup(made)["x"]["action"] == "remove"


def test_whoever_asks_from_inside_keeps_it(repo: Repo) -> None:
    made = merged(repo, "x")
    done = repo.loki("cleanup", "--json", cwd=made.tree_of("x"))
    (entry,) = [e for e in json.loads(done.out) if e["stream"] == "feature-x"]
    assert entry["action"] == "keep"
    assert made.tree_of("x").is_dir()


def test_caches_are_no_reason(repo: Repo) -> None:
    made = merged(repo, "x")
    tree = made.tree_of("x")
    repo.write(".git/info/exclude", "__pycache__/\nnode_modules\n")
    repo.write("__pycache__/a.pyc", "x", tree)
    repo.write("node_modules/a/index.js", "x", tree)
    assert cleanup(made)["x"]["action"] == "remove"
    assert not tree.exists()


def test_what_was_copied_in_is_no_reason_until_somebody_changed_it(repo: Repo) -> None:
    made = yard(repo)
    repo.write(".env", "A=1\n")
    made.agent("x", "echo x > x.txt\n")
    made.agent("y", "echo y > y.txt; echo B=2 >> .env\n")
    made.spawn("x", "y")
    made.run()
    made.quiet()
    assert not made.tree_of("x").exists()
    assert ".env" in made.record("y")["reason"]
    assert (made.tree_of("y") / ".env").read_text() == "A=1\nB=2\n"


def test_what_an_agent_wrote_beside_our_files_is_archived_and_comes_back(repo: Repo) -> None:
    made = yard(repo)
    made.agent(
        "x", "mkdir -p .loki/memory; echo found > .loki/memory/research.md; ln -s ../a .loki/link; echo x > x.txt\n"
    )
    made.spawn("x")
    made.run()
    made.quiet()
    assert not made.tree_of("x").exists()
    (archive,) = (made.loki_dir / "archive").iterdir()
    assert (archive / "loki" / "memory" / "research.md").read_text() == "found\n"
    assert (archive / "loki" / "link").is_symlink()
    assert repo.loki("restore", "x").code == 0
    assert (made.tree_of("x") / ".loki" / "memory" / "research.md").read_text() == "found\n"


def test_what_cannot_be_deleted_stays_whole_and_is_named(repo: Repo) -> None:
    """As root nothing but a mount or a flag resists; the flag is asked for as a file system may have none."""
    made = merged(repo, "x")
    tree = made.tree_of("x")
    repo.write(".git/info/exclude", "node_modules\n")
    stuck = repo.write("node_modules/dep/a.js", "x", tree).parent
    lock, free = (["chattr", "+i"], ["chattr", "-i"]) if os.geteuid() == 0 else (["chmod", "500"], ["chmod", "700"])
    if call([*lock, str(stuck)], repo.path).code:
        pytest.skip("no file system flags here")
    try:
        entry = cleanup(made)["x"]
        assert entry["action"] == "keep"
        assert "can be deleted" in entry["reasons"][0]
        assert str(stuck) in entry["reasons"][0]
        assert (tree / "x.txt").exists()
    finally:
        call([*free, str(stuck)], repo.path)
    assert cleanup(made)["x"]["action"] == "remove"


def test_a_dry_run_says_what_would_go_and_takes_nothing(repo: Repo) -> None:
    made = merged(repo, "x")
    assert cleanup(made, "--dry-run")["x"]["action"] == "remove"
    assert made.tree_of("x").is_dir()


def test_what_goes_is_archived_pinned_and_comes_back_as_it_says(repo: Repo) -> None:
    made = yard(repo)
    made.agent("x", "echo the log; echo x > x.txt\n")
    made.spawn("x", "--task", "Do it")
    made.run()
    made.quiet()
    assert not made.tree_of("x").exists()
    assert repo.try_git("rev-parse", "--verify", "-q", "refs/heads/feature/x").code == 1
    (archive,) = (made.loki_dir / "archive").glob("feature-x-*")
    assert "the log" in (archive / "session-feature-x.log").read_text()
    assert (archive / "CONTINUITY.md").exists()
    assert "Do it" in (archive / "prompt.md").read_text()
    kept = json.loads((archive / "record.json").read_text())
    assert repo.git("rev-parse", kept["trash"]) == kept["tip"]
    (removed,) = made.events("removed")
    assert removed["evidence"]["trash"] == kept["trash"]
    command = next(
        line.strip() for line in (archive / "UNDO.md").read_text().splitlines() if line.startswith("    git")
    )
    subprocess.run(["sh", "-c", command], cwd=repo.path, check=True, capture_output=True)
    assert (made.tree_of("x") / "x.txt").exists()
    assert repo.git("rev-parse", "feature/x") == kept["tip"]


def test_a_new_branch_is_never_merged_however_far_it_was_brought_along(repo: Repo) -> None:
    made = yard(repo)
    made.open("x", "y", "z")
    repo.commit("Others work", {"others.txt": "x"})
    repo.git("merge", "-q", "--ff-only", "main", cwd=made.tree_of("x"))
    repo.git("rebase", "-q", "main", cwd=made.tree_of("y"))
    repo.commit("Thrown away", {"thrown.txt": "x"}, cwd=made.tree_of("z"))
    repo.git("reset", "-q", "--hard", "main", cwd=made.tree_of("z"))
    made.run()
    verdicts = cleanup(made)
    for name in "xyz":
        assert made.status(name) == "open"
        assert "new" in "; ".join(verdicts[name]["reasons"])
        assert made.tree_of(name).is_dir()


def test_adopted_ones_go_only_by_the_command(repo: Repo) -> None:
    made = yard(repo)
    repo.git("worktree", "add", "-q", "-b", "feature/x", str(made.tree_of("x")))
    made.once()
    assert made.record("x")["origin"] == "adopted"
    repo.commit("Work", {"x.txt": "x"}, cwd=made.tree_of("x"))
    repo.git("merge", "-q", "--no-ff", "-m", "Merge", "feature/x")
    made.run()
    assert made.tree_of("x").is_dir()
    assert cleanup(made)["x"]["action"] == "remove"
    assert not made.tree_of("x").exists()


def test_somebody_elses_worktree_that_is_missing_now_is_not_forgotten(repo: Repo) -> None:
    """It may be on a disk that is not plugged in: its HEAD and index are in our common git dir."""
    made = yard(repo)
    place = repo.path.parent / "usb"
    repo.git("worktree", "add", "-q", "--detach", str(place))
    lonely = repo.commit("On no branch", {"lonely.txt": "x"}, cwd=place)
    away = place.with_name("unplugged")
    place.rename(away)
    made.spawn("x")
    made.run()
    made.spawn("y", "--no-launch")
    (
        repo.path / ".git/refs/heads/parallel-qa.lock"
    ).touch()  # the branch cannot be made, so what was begun is taken back
    assert made.spawn("qa", "--kind", "qa", "--no-launch")[0]["status"] == "failed"
    made.run()
    cleanup(made)
    away.rename(place)
    assert repo.git("rev-parse", "HEAD", cwd=place) == lonely
    assert repo.git("status", "--porcelain", cwd=place) == ""


def test_logs_of_another_stream_stay_with_it(repo: Repo) -> None:
    made = yard(repo)
    made.agent("v1.2", "echo mine; exit 1\n")
    made.spawn("v1.2")
    made.wait_for("v1.2", "failed")
    made.spawn("v1")
    made.run()
    assert made.landed() == ["v1"]
    assert repo.loki("logs", "v1.2").out.endswith("mine\n")


def test_a_branch_that_moves_while_it_is_removed_is_not_lost(repo: Repo) -> None:
    """Work that is committed after the verdict is on the branch, or pinned."""
    made = merged(repo, "x")
    tip = repo.git("rev-parse", "feature/x")
    assert cleanup(made)["x"]["action"] == "remove"
    pinned = repo.git("for-each-ref", "--format=%(objectname)", "refs/loki/trash/").split()
    assert tip in pinned
