"""`git clean -xdf` takes `.loki/` away: the gate still gates, and all that was there is found again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import Repo, eventually
from support.look import quiet, refs, signals, state_of, status, worktrees
from support.small import begin

if TYPE_CHECKING:
    from e2e.conftest import Hooks

pytestmark = pytest.mark.slow
BOTH = [pytest.param("native"), pytest.param("pre-commit", marks=[pytest.mark.network, pytest.mark.extra])]


@pytest.mark.parametrize("way", BOTH)
def test_the_gate_still_gates_and_the_streams_are_found_again(
    way: str, repo: Repo, hooks: Hooks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "native":
        monkeypatch.delenv("LOKI_TRUST")  # the word is given at `install`, and is kept outside the repository
    small = begin(repo, hooks, way, tmp_path / "ran")
    made = json.loads(repo.loki("spawn", "good", "bad", "--no-launch", "--json").out)
    at = {m["name"]: Path(m["path"]) for m in made}
    good = repo.commit("Good", {"good.py": "pass\n"}, cwd=at["good"])
    repo.commit("Bad", {"bad.py": "BUG\n"}, cwd=at["bad"])
    repo.git("worktree", "add", "-q", "../x", "-b", "feature/x")
    quiet(repo)
    assert repo.loki("test", "feature/good").code == 0
    bases = refs(repo, "refs/loki/base/")
    assert set(bases) == {"refs/loki/base/feature-good", "refs/loki/base/feature-bad", "refs/loki/base/feature-x"}
    repo.commit("Move on", {"moved.py": "pass\n"})
    quiet(repo)
    ran = small.runs

    repo.git("clean", "-q", "-xdf")
    assert not (repo.path / ".loki").exists()
    refused = repo.try_git("push", "origin", "feature/bad")
    assert refused.code == 1
    assert "there is a BUG" in refused.err + refused.out
    assert repo.try_git("push", "origin", "feature/good").code == 0, "what passed is still known"
    assert small.runs == ran + 1
    assert small.remote == {"feature/good": good}

    repo.git("clean", "-q", "-xdf")
    repo.git("checkout", "-q", "main")
    eventually(lambda: [state_of(repo, f"feature-{n}") for n in ("bad", "good", "x")] == ["open"] * 3, 20)
    quiet(repo)
    assert repo.git("status", "--porcelain") == "", "the new .loki/ is out of git's sight"
    assert refs(repo, "refs/loki/base/") == bases, "where they began is known, though main has moved on"
    apart = {s["name"]: (s["ahead"], s["behind"]) for s in status(repo)["streams"]}
    assert apart == {"bad": (1, 1), "good": (1, 1), "x": (0, 1)}
    assert set(worktrees(repo)) == {"project", "project-feature-good", "project-feature-bad", "x", "project-testing"}

    assert repo.loki("signal", "emit", "FEATURE_READY_good").code == 0
    eventually(lambda: state_of(repo, "feature-good") == "merged", 30)
    quiet(repo)
    assert repo.git("rev-parse", "main^2") == good
    assert state_of(repo, "feature-x") == "open", "one without a commit of its own is new, not merged"
    assert repo.git("rev-parse", "parallel-testing") == small.main
    assert "TESTS_PASSED_good" in signals(repo)


def test_a_session_that_runs_meanwhile_ends_well(repo: Repo, hooks: Hooks, tmp_path: Path) -> None:
    go = tmp_path / "go"
    agent = f"echo pass > new.py; git add -A; git commit -q -m New; while [ ! -e {go} ]; do sleep 0.05; done"
    small = begin(repo, hooks, "native", tmp_path / "ran")
    with (repo.path / "loki-hooks.toml").open("a") as config:
        config.write(f"[agents.scripted]\ncommand = ['sh', '-c', '{agent}']\n[session]\nagent = 'scripted'\n")
    repo.commit("An agent")
    assert repo.loki("spawn", "long").code == 0
    there = small.beside("project-feature-long")
    eventually((there / "new.py").exists, 30)
    eventually(lambda: repo.git("log", "-1", "--format=%s", "feature/long") == "New", 30)
    eventually(lambda: repo.try_git("clean", "-q", "-xdf").code == 0, 20, "nobody to write while git cleans")
    repo.git("checkout", "-q", "main")
    eventually(lambda: state_of(repo, "feature-long") == "open", 20)
    tip = repo.git("rev-parse", "feature/long")
    done = repo.loki("cleanup", "--json")
    assert done.code == 0
    assert there.is_dir(), "its session is alive"
    go.touch()
    eventually(lambda: state_of(repo, "feature-long") == "merged", 30)
    quiet(repo)
    assert repo.git("rev-parse", "main^2") == tip
