"""Spawning much at once, killed anywhere, in every kind of repository: all there, or nothing."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import SCRIPTS, Repo, call, eventually
from support.scripted import Yard, snapshot, turn_on, yard

from loki_hooks.domain.worktrees.index_file import STAT_BYTES, parse_index, with_stats

LOKI = str(SCRIPTS / "loki-hooks")


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


@pytest.fixture
def upstream(repo: Repo, tmp_path: Path) -> Path:
    """A remote that the main branch follows: git then writes its configuration at each new branch."""
    bare = tmp_path / "upstream.git"
    repo.git("init", "-q", "--bare", str(bare))
    repo.git("remote", "add", "origin", str(bare))
    repo.git("push", "-q", "-u", "origin", "main")
    repo.git("config", "branch.autoSetupMerge", "always")
    return bare


def worktrees(repo: Repo) -> dict[str, str]:
    """Return path → branch of every worktree."""
    found = {}
    for block in repo.git("worktree", "list", "--porcelain").split("\n\n"):
        fields = dict(line.partition(" ")[::2] for line in block.splitlines())
        found[fields["worktree"]] = fields.get("branch", "")
    return found


def files_in(worktree: Path) -> dict[str, str]:
    return {name: text for name, text in snapshot(worktree).items() if name != ".git"}


def whole(made: Yard, names: list[str]) -> None:
    """Each stream is all there or not there at all; nothing else of ours is there."""
    listed = worktrees(made.repo)
    branches = set(made.repo.git("for-each-ref", "--format=%(refname)", "refs/heads/feature").split())
    bases = set(made.repo.git("for-each-ref", "--format=%(refname)", "refs/loki/base").split())
    there = {name for name in names if made.status(name)}
    for name in there:
        path = made.tree_of(name)
        assert listed.get(str(path)) == f"refs/heads/feature/{name}", name
        assert made.repo.git("status", "--porcelain", cwd=path) == "", name
        assert (path / ".loki" / "CONTINUITY.md").is_file(), name
        assert made.record(name)["origin"] == "spawned", name
    assert branches == {f"refs/heads/feature/{name}" for name in there}
    assert bases == {f"refs/loki/base/feature-{name}" for name in there}
    folders = {p.name for p in made.path.parent.iterdir() if p.name.startswith(f"{made.path.name}-feature-")}
    assert folders == {made.tree_of(name).name for name in there}
    admins = {p.name for p in (made.path / ".git" / "worktrees").iterdir()}
    assert len([a for a in admins if "-feature-" in a]) == len(there)


@pytest.mark.slow
@pytest.mark.parametrize("many", [12, pytest.param(64, marks=pytest.mark.extra)])
def test_many_at_once_beside_a_quarter_as_many_of_plain_git(repo: Repo, upstream: Path, many: int) -> None:
    made = yard(repo)
    repo.commit("Files", {f"src/f{n}.py": f"x = {n}\n" for n in range(100)})
    repo.git("push", "-q")
    names = [f"n{n}" for n in range(many)]
    plain: list[subprocess.Popen[bytes]] = []
    children = []
    for number, name in enumerate(names):
        children.append(
            subprocess.Popen(
                [LOKI, "spawn", name, "--no-launch", "--json"],
                cwd=repo.path,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
        if number % 4 == 0:
            plain.append(
                subprocess.Popen(
                    ["git", "worktree", "add", "-q", f"../plain{number}", "-b", f"plain{number}"],
                    cwd=repo.path,
                    stderr=subprocess.DEVNULL,
                )
            )
    ends = [child.communicate(timeout=300) for child in children]
    for git in plain:
        git.wait(60)
    assert [child.returncode for child in children] == [0] * many, [e for _, e in ends if e]
    for name, (out, _) in zip(names, ends, strict=True):
        (shown,) = json.loads(out)
        assert (shown["status"], shown["error"], made.status(name)) == ("open", None, "open")
    whole(made, names)
    for number in range(0, many, 4):  # what plain git made is as it made it: none of its worktrees was taken for ours
        path = repo.path.parent / f"plain{number}"
        if str(path) in worktrees(repo) and (path / "app.py").exists():
            assert repo.git("status", "--porcelain", cwd=path) == ""


def test_one_spawn_of_many_shares_the_work_and_one_that_fails_costs_the_others_nothing(repo: Repo) -> None:
    made = yard(repo)
    repo.commit("Files", {f"src/d{n % 7}/f{n}.py": f"x = {n}\n" for n in range(300)})
    names = [f"n{n}" for n in range(12)]
    repo.git("worktree", "add", "-q", "--detach", "../by-git")
    shown = made.spawn("--no-launch", *names)
    assert [s["status"] for s in shown] == ["open"] * 12
    whole(made, names)
    expected = files_in(repo.path.parent / "by-git")
    assert all(files_in(made.tree_of(name)) == expected for name in names)
    text = (made.tree_of("n3") / ".loki" / "CONTINUITY.md").read_text()
    assert "`feature-n4` on `feature/n4`" in text
    assert "`feature-n3` on" not in text
    (repo.path / ".git/refs/heads/feature/bad.lock").touch()  # somebody's git died: the branch of one cannot be made
    good, bad = made.spawn("--no-launch", "good", "bad")
    assert (good["status"], bad["status"]) == ("open", "failed")
    assert made.status("bad") == ""
    assert repo.try_git("rev-parse", "--verify", "-q", "refs/heads/feature/bad").code == 1
    assert repo.try_git("rev-parse", "--verify", "-q", "refs/loki/base/feature-bad").code == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.extra)])
def test_a_spawn_of_many_that_is_killed_anywhere_is_finished_or_taken_back(repo: Repo, seed: int) -> None:
    made = yard(repo)
    repo.commit("Files", {f"src/d{n % 7}/f{n}.py": f"x = {n}\n" * 20 for n in range(800)})
    chance = random.Random(seed)
    state = made.loki_dir / "state" / "orchestrator.json"
    names = []
    for turn in range(3):
        mine = [f"k{turn}{n}" for n in range(3)]
        names += mine
        child = subprocess.Popen(
            [LOKI, "spawn", "--no-launch", *mine],
            cwd=repo.path,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wanted = f'"feature-{mine[0]}"'
        eventually(lambda: child.poll() is not None or (state.exists() and wanted in state.read_text()))  # noqa: B023
        time.sleep(chance.uniform(0, 0.5))
        if chance.random() < 0.5:
            os.kill(child.pid, signal.SIGKILL)  # its git and its writers live on for a moment
        else:
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if chance.random() < 0.5:
            made.once()
    made.run()
    time.sleep(0.3)
    made.run()
    assert {made.status(name) for name in names} <= {"open", ""}
    whole(made, names)
    assert not list((repo.path / ".git").glob("loki/populate-*/index")) or made.spawn("z", "y", "--no-launch")
    (again,) = made.spawn("fresh", "--no-launch")
    assert again["status"] == "open"


# The base ---------------------------------------------------------------------------------------------


def test_a_base_that_is_not_one_commit_is_refused_before_anything_is_made(repo: Repo) -> None:
    made = yard(repo)
    repo.git("branch", "same")
    repo.commit("More", {"more": "x"})
    repo.git("tag", "same")
    before = repo.git("for-each-ref")
    for base, word in (
        ("same", "ambiguous"),
        ("nowhere", "no commit"),
        ("main:app.py", "no commit"),
        ("a\nb", "no commit"),
    ):
        done = repo.loki("spawn", "x", "--no-launch", "--base", base)
        assert (done.code, done.out) == (2, ""), done
        assert word in done.err
    assert repo.git("for-each-ref") == before
    made.spawn("y", "--no-launch", "--base", "refs/heads/same")
    assert repo.git("rev-parse", "feature/y") == repo.git("rev-parse", "refs/heads/same")
    assert made.record("y")["base"] == repo.git("rev-parse", "refs/heads/same")


def test_without_a_commit_there_is_nothing_to_begin_at(tmp_path: Path) -> None:
    empty = Repo(tmp_path / "empty")
    empty.path.mkdir()
    empty.git("init", "-q")
    turn_on(empty)
    done = empty.loki("spawn", "x", "--no-launch")
    assert done.code == 1
    assert "no commit yet" in done.err
    done = empty.loki("spawn", "x", "--no-launch", "--base", "HEAD")
    assert done.code == 2
    assert "no commit yet" in done.err


def test_too_little_disk_is_said_before_anything_is_made(repo: Repo) -> None:
    """The index says how large the files are; here it says four gigabytes each."""
    made = yard(repo)
    repo.commit("Files", {f"f{n}": str(n) for n in range(200)})
    path = repo.path / ".git" / "index"
    index = parse_index(path.read_bytes())
    huge = b"".join(index.raw[e.offset : e.offset + STAT_BYTES - 4] + b"\xff" * 4 for e in index.entries)
    path.write_bytes(with_stats(index, huge))
    before = repo.git("for-each-ref")
    done = repo.loki("spawn", "--no-launch", "a", "b", "c")
    assert done.code == 1
    assert "no room for 3 worktrees" in done.err
    assert "GiB are needed" in done.err
    assert repo.git("for-each-ref") == before
    assert not made.tree_of("a").exists()


# Kinds of repositories ----------------------------------------------------------------------------------


@pytest.fixture
def library(tmp_path: Path) -> Repo:
    """A repository to be a submodule, with a submodule of its own."""
    inner = Repo(tmp_path / "inner")
    inner.path.mkdir()
    inner.git("init", "-q")
    inner.commit("Inner", {"inner.txt": "inner"})
    library = Repo(tmp_path / "library")
    library.path.mkdir()
    library.git("init", "-q")
    library.commit("One", {"lib.py": "one"})
    library.git("submodule", "--quiet", "add", str(inner.path), "inner")
    library.commit("Two", {"lib.py": "two"})
    return library


def test_submodules_come_from_the_main_worktree_without_network(repo: Repo, library: Repo, tmp_path: Path) -> None:
    repo.git("submodule", "--quiet", "add", str(library.path), "vendor/my lib")
    repo.git("submodule", "--quiet", "update", "--init", "--recursive")
    made = yard(repo)
    local = repo.commit("Only here", {"lib.py": "three"}, cwd=repo.path / "vendor" / "my lib")
    repo.commit("Pin it")
    library.path.rename(tmp_path / "gone")
    (tmp_path / "inner").rename(tmp_path / "gone too")
    config = (repo.path / ".git" / "config").read_text()
    made.open("x", "y")
    for name in ("x", "y"):
        there = made.tree_of(name) / "vendor" / "my lib"
        assert (there / "lib.py").read_text() == "three"
        assert (there / "inner" / "inner.txt").read_text() == "inner"
        assert repo.git("rev-parse", "HEAD", cwd=there) == local
        assert repo.git("remote", "get-url", "origin", cwd=there) == str(library.path)
        assert repo.git("status", "--porcelain", cwd=made.tree_of(name)) == ""
    assert (repo.path / ".git" / "config").read_text() == config
    # Nothing of it stands in the way of clean-up: what is pinned is in the main worktree's clone.
    made.work("x", {"x.txt": "x", ".gitignore": "__pycache__/\n"})
    repo.write("__pycache__/x.pyc", "a cache", cwd=made.tree_of("x"))
    made.run()
    assert made.landed() == ["x"]
    assert not made.tree_of("x").exists(), made.record("x")
    assert (repo.path / ".git" / "config").read_text() == config, (
        "the submodules of the main worktree are still its own"
    )


def test_a_submodule_that_the_main_worktree_leaves_out_stays_out(repo: Repo, library: Repo) -> None:
    repo.git("submodule", "--quiet", "add", str(library.path), "lib")
    made = yard(repo)
    repo.git("submodule", "--quiet", "deinit", "-f", "lib")
    (repo.path / ".git" / "modules" / "lib").rename(repo.path / ".git" / "modules" / "elsewhere")
    made.open("x")
    assert list((made.tree_of("x") / "lib").iterdir()) == []


@pytest.mark.parametrize("cone", [True, False])
def test_a_sparse_checkout_is_inherited(repo: Repo, cone: bool) -> None:
    files = {f"in/f{n}": "x" for n in range(150)} | {f"out/f{n}": "x" for n in range(150)}
    repo.commit("Files", files)
    made = yard(repo)
    repo.git("sparse-checkout", "set", *(["--cone", "in"] if cone else ["--no-cone", "/*", "!/out/"]))
    made.open("x", "y")
    for name in ("x", "y"):
        assert (made.tree_of(name) / "in" / "f1").exists()
        assert not (made.tree_of(name) / "out").exists(), "what the main worktree leaves out is left out"
        assert repo.git("status", "--porcelain", cwd=made.tree_of(name)) == ""


def test_a_repository_that_libgit2_cannot_open(tmp_path: Path) -> None:
    wide = Repo(tmp_path / "work" / "wide")
    wide.path.mkdir(parents=True)
    wide.git("init", "-q", "--object-format=sha256")
    wide.commit("Begin", {f"src/f{n}.py": str(n) for n in range(250)})
    made = yard(wide)
    made.spawn("x", "y")
    made.run()
    assert sorted(made.landed()) == ["x", "y"]


def test_a_partial_clone_fetches_what_a_worktree_needs(repo: Repo, tmp_path: Path) -> None:
    repo.git("config", "uploadpack.allowFilter", "true")
    repo.commit("Files", {f"f{n}": str(n) for n in range(230)})
    clone = Repo(tmp_path / "work" / "part")
    repo.git("clone", "-q", "--filter=blob:none", "--no-checkout", f"file://{repo.path}", str(clone.path))
    clone.git("reset", "-q", "--hard")
    made = yard(clone)
    made.open("x", "y")
    assert (made.tree_of("y") / "f229").read_text() == "229"
    assert clone.git("status", "--porcelain", cwd=made.tree_of("x")) == ""


def test_files_behind_a_filter_are_as_git_makes_them(repo: Repo) -> None:
    """As LFS: a clean and a smudge, by process or by command."""
    repo.git("config", "filter.fat.clean", "tr A-Z a-z")
    repo.git("config", "filter.fat.smudge", "tr a-z A-Z")
    repo.git("config", "filter.fat.required", "true")
    repo.commit("Fat", {".gitattributes": "*.fat filter=fat -text\n"} | {f"f{n}.txt": "x" for n in range(220)})
    repo.commit("Asset", {"asset.fat": "HEAVY"})
    made = yard(repo)
    made.open("x", "y")
    assert repo.git("show", "HEAD:asset.fat") == "heavy"
    for name in ("x", "y"):
        assert (made.tree_of(name) / "asset.fat").read_text() == "HEAVY"
        assert repo.git("status", "--porcelain", cwd=made.tree_of(name)) == ""


def test_a_bare_repository_with_its_streams(repo: Repo, tmp_path: Path) -> None:
    yard(repo)
    repo.commit("Files", {f"f{n}": str(n) for n in range(230)})
    bare = tmp_path / "bare place" / "proj.git"
    bare.parent.mkdir()
    call(["git", "clone", "-q", "--bare", str(repo.path), str(bare)], tmp_path)
    other = Repo(bare)
    turn_on(other)
    shown = json.loads(other.loki("spawn", "--no-launch", "--json", "x", "y").out)
    for one in shown:
        assert one["status"] == "open"
        assert (Path(one["path"]) / "f229").exists()
        assert other.git("status", "--porcelain", cwd=Path(one["path"])) == ""


def test_nothing_queued_makes_a_worktree_beyond_the_most_that_is_wanted_and_a_spawn_by_hand_does(repo: Repo) -> None:
    made = yard(repo, more="[worktrees]\nmax = 1\n")
    made.open("x", "y")
    assert made.tree_of("y").is_dir()
    assert repo.loki("spawn", "z", "--no-launch").code == 0


@pytest.mark.skipif(shutil.which("git-lfs") is None, reason="no git-lfs")
def test_files_in_lfs_are_there_as_git_makes_them(repo: Repo) -> None:
    made = yard(repo)
    repo.git("lfs", "install")
    repo.git("lfs", "track", "*.bin")
    (repo.path / "large.bin").write_bytes(content := bytes(range(256)) * 1000)
    repo.commit("Large and many", {f"src/f{n}.py": f"x = {n}\n" for n in range(250)})
    assert repo.git("show", "HEAD:large.bin").startswith("version https://git-lfs.github.com/spec/v1\noid sha256:")
    made.open("a", "b")
    for name in ("a", "b"):
        assert (made.tree_of(name) / "large.bin").read_bytes() == content
        assert repo.git("status", "--porcelain", cwd=made.tree_of(name)) == ""
