"""What must not leak: git's environment into tests, a ref past the gate, a process or a descriptor of ours."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from conftest import SCRIPTS, Repo, call, eventually
from support.look import our_processes, quiet, refs, state_of
from support.small import begin

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.conftest import Hooks

pytestmark = pytest.mark.slow
BOTH = [pytest.param("native"), pytest.param("pre-commit", marks=[pytest.mark.network, pytest.mark.extra])]

MAKES_A_REPOSITORY = """
import os, subprocess, tempfile

with tempfile.TemporaryDirectory() as folder:
    subprocess.run(["git", "init", "--quiet", "--bare", folder], check=True)
    subprocess.run(["git", "init", "--quiet", folder + "/plain"], check=True)
    subprocess.run(["git", "-C", folder + "/plain", "-c", "user.name=t", "-c", "user.email=t@example.invalid",
                    "commit", "--quiet", "--allow-empty", "-m", "of the test"], check=True)
    count = ["git", "-C", folder + "/plain", "rev-list", "--count", "--all"]
    found = subprocess.run(count, check=True, capture_output=True)
    assert found.stdout == b"1\\n", "it is the test's own repository"
left = [name for name in os.environ if name.startswith(("GIT_DIR", "GIT_INDEX", "GIT_WORK", "PRE_COMMIT", "PREK"))]
assert left == [], left
"""


@pytest.mark.parametrize("way", BOTH)
def test_a_gate_whose_tests_make_repositories_leaves_ours_alone(
    way: str, repo: Repo, hooks: Hooks, tmp_path: Path
) -> None:
    small = begin(
        repo,
        hooks,
        way,
        tmp_path / "ran",
        command=f'echo run >> "{{ran}}"; {sys.executable} test_git.py',
        more={"test_git.py": MAKES_A_REPOSITORY},
    )
    repo.git("worktree", "add", "-q", "../x", "-b", "feature/x")
    there = small.beside("x")
    tip = repo.commit("Work", {"x.py": "pass\n"}, cwd=there)
    quiet(repo)
    config = (repo.path / ".git" / "config").read_text()
    assert small.runs == 0
    pushed = repo.try_git("push", "origin", "feature/x", cwd=there)
    assert pushed.code == 0, pushed.err
    assert small.runs == 1, "the gate ran"
    assert small.remote["feature/x"] == tip
    assert (repo.path / ".git" / "config").read_text() == config
    assert repo.git("config", "--get", "core.bare") == "false"
    assert repo.git("status", "--porcelain") == repo.git("status", "--porcelain", cwd=there) == ""
    assert repo.git("rev-list", "--count", "--all", "--grep=of the test") == "0"
    quiet(repo)


@pytest.mark.network
@pytest.mark.parametrize("way", ["native", "pre-commit"])
def test_no_push_gets_past_the_gate_and_what_is_not_gated_passes(
    way: str, repo: Repo, hooks: Hooks, tmp_path: Path
) -> None:
    """`install` puts our native script beside a framework's, which tells its hooks of the first ref only."""
    small = begin(repo, hooks if way != "native" else None, way, tmp_path / "ran")
    installed = repo.loki("install")
    assert installed.code == 0, installed.err
    if repo.git("status", "--porcelain"):
        repo.commit("What install wrote")
    for branch, text in (("feature/good", "pass\n"), ("feature/bad", "BUG\n"), ("wip/bad", "BUG\n")):
        repo.git("checkout", "-q", "-b", branch, "main")
        repo.commit("Work", {f"{branch.replace('/', '_')}.py": text})
    repo.git("tag", "v1", "feature/bad")
    repo.git("tag", "-a", "-m", "annotated", "v2", "feature/bad")
    quiet(repo)

    def push(*words: str) -> int:
        done = repo.try_git("push", "-q", "origin", *words)
        assert done.code in {0, 1}, done.err
        if done.code:
            assert "there is a BUG" in done.err + done.out, done.err
        return done.code

    def tip(name: str) -> str:
        return repo.git("rev-parse", name)

    assert push("feature/good", "feature/bad") == 1, "several refs: one bad one stops all"
    assert push("feature/bad", "feature/good") == 1, "in any order"
    assert push("wip/bad", "feature/bad") == 1, "a branch that nothing gates hides none that is"
    assert push("--all") == 1
    assert push("wip/bad:feature/another") == 1, "it counts where it goes to"
    assert push("HEAD:main") == 1
    assert small.remote == {}
    assert small.runs == 4, "each tree once: good, bad, main, and what HEAD is"

    assert push("feature/good", "wip/bad") == 0
    assert push("v1", "v2") == 0, "tags are never gated"
    assert push("main") == 0, "a new branch"
    assert push("main:feature/new") == 0, "another name, the same tree: known"
    assert small.runs == 4
    assert small.remote["feature/good"] == tip("feature/good")
    assert small.remote["wip/bad"] == tip("wip/bad")
    assert small.remote["main"] == small.remote["feature/new"] == small.main

    assert push("--delete", "feature/new", "v1") == 0, "deletions are never gated"
    assert push(":v2") == 0
    assert push("--delete", "wip/bad") == 0
    good = tip("feature/good")
    repo.git("checkout", "-q", "feature/good")
    repo.git("commit", "-q", "--amend", "-m", "Worse")
    (repo.path / "feature_good.py").write_text("BUG\n")
    repo.git("commit", "-q", "-a", "--amend", "-m", "Worse")
    assert push("--force", "feature/good") == 1, "by force as well"
    assert push("+feature/good") == 1
    assert small.remote["feature/good"] == good
    (repo.path / "feature_good.py").write_text("better = True\n")
    repo.git("commit", "-q", "-a", "--amend", "-m", "Better")
    assert push("--force-with-lease", "feature/good") == 0
    assert small.remote["feature/good"] == tip("feature/good")
    assert push("feature/good") == 0, "there is nothing to push"
    assert small.runs == 6
    quiet(repo)


def test_plain_pre_commit_gates_the_first_ref(repo: Repo, hooks: Hooks, tmp_path: Path) -> None:
    """Without `install` only what pre-commit tells of: that the README says so is why `install` is recommended."""
    small = begin(repo, hooks, "pre-commit", tmp_path / "ran")
    repo.git("checkout", "-q", "-b", "feature/bad")
    repo.commit("Work", {"bad.py": "BUG\n"})
    refused = repo.try_git("push", "origin", "feature/bad")
    assert refused.code == 1
    assert "there is a BUG" in refused.err + refused.out
    assert small.remote == {}
    assert repo.try_git("push", "origin", "main").code == 0
    assert set(small.remote) == {"main"}
    quiet(repo)


WAITS = 'echo run >> "{ran}"; while [ ! -e "{ran}.go" ]; do sleep 0.05; done'


@pytest.mark.parametrize("way", BOTH)
def test_git_returns_at_once_while_a_slow_gate_runs(way: str, repo: Repo, hooks: Hooks, tmp_path: Path) -> None:
    """Whoever captures git's output waits for the end of its descriptors: none may be held by what goes on."""
    small = begin(repo, hooks, way, tmp_path / "ran", command=WAITS)
    repo.git("worktree", "add", "-q", "../x", "-b", "feature/x")
    repo.commit("Work", {"x.py": "pass\n"}, cwd=small.beside("x"))
    quiet(repo)
    (repo.signals / "FEATURE_READY_x").touch()
    repo.git("checkout", "-q", "main")  # captured: would wait for ever, the gate ends when we say so
    eventually(lambda: small.runs == 1, 30)
    for words in (["commit", "-q", "--allow-empty", "-m", "Meanwhile"], ["checkout", "-q", "-b", "elsewhere"]):
        done = subprocess.run(["git", *words], cwd=repo.path, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0
    assert any("worker gate" in words for words in our_processes(repo)), "it still runs"
    assert state_of(repo, "feature-x") == "testing"
    (tmp_path / "ran.go").touch()
    eventually(lambda: state_of(repo, "feature-x") == "merged", 30)
    quiet(repo)


def test_no_process_of_ours_stays_where_there_is_nothing_to_do(repo: Repo, hooks: Hooks, tmp_path: Path) -> None:
    small = begin(repo, hooks, "native", tmp_path / "ran")
    repo.git("worktree", "add", "-q", "../x", "-b", "feature/x")
    repo.commit("Work", {"x.py": "pass\n"}, cwd=small.beside("x"))
    repo.git("checkout", "-q", "-b", "topic")
    repo.git("checkout", "-q", "main")
    assert repo.loki("status").code == 0
    quiet(repo, 20)
    assert our_processes(repo) == []
    assert list((repo.path / ".loki" / "state" / "gate-runs").glob("*")) == []
    assert json.loads(repo.loki("run", "--once", "--json").out)["steps"] == []
    assert refs(repo, "refs/loki/train") == {}
    quiet(repo, 20)


@pytest.mark.network
def test_where_the_framework_keeps_its_environments_is_known_in_sessions_too(
    repo: Repo, hooks: Hooks, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PRE_COMMIT_HOME is the user's setting, nothing that pre-commit exports into hooks: an agent's commits need it."""
    monkeypatch.setenv("PRE_COMMIT_HOME", str(shared / "cache" / "pre-commit"))
    monkeypatch.delenv("XDG_CACHE_HOME")
    small = begin(repo, hooks, "pre-commit", tmp_path / "ran")
    with (repo.path / "loki-hooks.toml").open("a") as config:
        config.write(
            "[agents.scripted]\ncommand = ['sh', '-c', 'echo pass > new.py; git add -A; git commit -qm New']\n"
            "[session]\nagent = 'scripted'\nmax = 1\n"
        )
    repo.commit("An agent")
    quiet(repo)
    assert repo.loki("spawn", "one").code == 0
    repo.git("checkout", "-q", "main")
    eventually(lambda: state_of(repo, "feature-one") == "archived", 60)
    quiet(repo)
    assert small.runs >= 1
    assert not (tmp_path / "home" / ".cache").exists(), "nothing was built again elsewhere"
    assert call([str(SCRIPTS / "pre-commit"), "--version"], repo.path).code == 0
