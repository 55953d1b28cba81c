"""The upstream: fetched first and in bounded time, followed when merely behind, never merged with when diverged."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Repo

from actions.scripted import Yard, yard


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def with_remote(repo: Repo, tmp_path: Path, more: str = "") -> tuple[Yard, Repo]:
    """The yard, and another clone of the same remote."""
    made = yard(repo, more=more)
    bare = tmp_path / "remote.git"
    repo.git("clone", "-q", "--bare", str(repo.path), str(bare))
    repo.git("remote", "add", "origin", str(bare))
    repo.git("fetch", "-q", "origin")
    repo.git("branch", "-q", "-u", "origin/main", "main")
    repo.git("clone", "-q", str(bare), str(tmp_path / "colleague"))
    return made, Repo(tmp_path / "colleague")


def published(colleague: Repo, name: str) -> str:
    commit = colleague.commit(f"Add {name}", {name: "x"})
    colleague.git("push", "-q")
    return commit


def test_a_spawn_begins_at_what_others_have_pushed(repo: Repo, tmp_path: Path) -> None:
    made, colleague = with_remote(repo, tmp_path)
    theirs = published(colleague, "theirs.txt")
    made.open("x")
    assert repo.git("rev-parse", "main") == theirs
    assert repo.git("rev-parse", "feature/x") == theirs
    assert (repo.path / "theirs.txt").exists()


def test_behind_and_in_the_way_it_stays_says_so_and_touches_nothing(repo: Repo, tmp_path: Path) -> None:
    made, colleague = with_remote(repo, tmp_path)
    before = repo.git("rev-parse", "main")
    published(colleague, "theirs.txt")
    repo.write("theirs.txt", "mine\n")
    done = repo.loki("spawn", "x", "--no-launch")
    assert done.code == 0
    assert "behind" in done.err
    assert repo.git("rev-parse", "main") == before
    assert (repo.path / "theirs.txt").read_text() == "mine\n"
    made.work("x", {"x.txt": "x"})
    made.run()
    assert made.landed() == []
    assert made.runs() == []
    assert "behind" in made.record("x")["reason"]
    (repo.path / "theirs.txt").unlink()
    made.run()
    assert made.landed() == ["x"]
    assert "theirs.txt" in made.on_main()
    assert len(made.runs()) == 1


def test_a_gate_tests_what_was_pushed_meanwhile(repo: Repo, tmp_path: Path) -> None:
    made, colleague = with_remote(repo, tmp_path)
    made.agent("x", "echo x > x.txt; sleep 2.5\n")
    made.spawn("x")
    theirs = published(colleague, "theirs.txt")
    made.run()
    assert made.landed() == ["x"]
    assert repo.git("rev-parse", "main^1") == theirs
    assert len(made.runs()) == 1


def test_diverged_it_lands_nothing_and_says_why(repo: Repo, tmp_path: Path) -> None:
    made, colleague = with_remote(repo, tmp_path)
    published(colleague, "theirs.txt")
    ours = repo.commit("Ours", {"ours.txt": "x"})
    made.open("x")
    made.work("x", {"x.txt": "x"})
    made.run()
    assert repo.git("rev-parse", "main") == ours
    assert "diverged" in made.record("x")["reason"]
    assert "diverged" in repo.loki("status").out + repo.loki("status").err
    repo.git("pull", "-q", "--rebase")
    made.run()
    assert made.landed() == ["x"]


def test_offline_is_tolerated_and_bounded(repo: Repo, tmp_path: Path) -> None:
    made, _ = with_remote(repo, tmp_path)
    (tmp_path / "remote.git").rename(tmp_path / "unplugged.git")
    done = repo.loki("spawn", "x")
    assert done.code == 0
    assert "cannot fetch origin" in done.err
    made.run()
    assert made.landed() == ["x"]


@pytest.mark.slow
def test_a_remote_that_never_answers_costs_seconds(repo: Repo, tmp_path: Path) -> None:
    made, _ = with_remote(repo, tmp_path)
    silent = repo.write("../silent.sh", "#!/bin/sh\nexec sleep 600\n")
    silent.chmod(0o755)
    repo.git("config", "remote.origin.url", "ssh://nowhere.invalid/x")
    repo.git("config", "core.sshCommand", str(silent))
    made.open("x")
    made.once()
    (failed,) = made.events("fetch-failed")
    assert failed["detail"] == "no answer in 15 s", "given up, and not asked again at once"


@pytest.mark.parametrize("hook", [0, 1])
def test_what_landed_is_pushed_where_wanted_with_the_users_hooks(repo: Repo, tmp_path: Path, hook: int) -> None:
    made, colleague = with_remote(repo, tmp_path, "[merge]\npush = true\n")
    path = repo.write(".git/hooks/pre-push", f'#!/bin/sh\necho "$LOKI_HOOKS_DISABLE" > {tmp_path}/ran\nexit {hook}\n')
    path.chmod(0o755)
    made.streams({"x": {"x.txt": "x"}})
    made.run()
    assert made.landed() == ["x"]
    assert (tmp_path / "ran").read_text() == "1\n"
    colleague.git("pull", "-q")
    assert (colleague.path / "x.txt").exists() == (hook == 0)
    assert bool(made.events("push-failed")) == (hook == 1)


def test_it_is_not_pushed_where_nobody_wants_it(repo: Repo, tmp_path: Path) -> None:
    made, colleague = with_remote(repo, tmp_path)
    made.streams({"x": {"x.txt": "x"}})
    made.run()
    colleague.git("pull", "-q")
    assert not (colleague.path / "x.txt").exists()
    assert made.landed() == ["x"]
