"""Hands work too: worktrees, merges, pulls and signals that nobody asked loki-hooks for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import Repo, eventually
from support.look import events, our_processes, quiet, refs, signals, state_of, stream, worktrees
from support.small import APP, begin

if TYPE_CHECKING:
    from e2e.conftest import Hooks

pytestmark = pytest.mark.slow
BOTH = [pytest.param("native"), pytest.param("pre-commit", marks=[pytest.mark.network, pytest.mark.extra])]
README = "# project\n\n`greet` says hello, `leave` says goodbye.\n"


@pytest.mark.parametrize("way", BOTH)
def test_a_worktree_that_somebody_made_is_adopted_and_lands(way: str, repo: Repo, hooks: Hooks, tmp_path: Path) -> None:
    small = begin(repo, hooks, way, tmp_path / "ran")
    repo.write(".env", "TOKEN=1\n")
    repo.git("worktree", "add", "-q", "../x", "-b", "feature/x")
    there = small.beside("x")
    eventually(lambda: state_of(repo, "feature-x") == "open", 20)
    quiet(repo)
    assert (there / ".env").read_text() == "TOKEN=1\n", "what is not in git came along"
    assert {p.name for p in (there / ".loki").glob("[!.]*")} == {"CONTINUITY.md", "signals"}
    assert repo.git("status", "--porcelain", cwd=there) == ""
    tip = repo.commit("Greet louder", {"app.py": APP.replace("'hello'", "'HELLO'")}, cwd=there)
    quiet(repo)
    assert state_of(repo, "feature-x") == "open", "nobody has said yet that it is finished"

    (there / ".loki" / "signals" / "FEATURE_READY_x").touch()
    assert repo.git("checkout", "-q", "main") == "", "the next trigger"
    eventually(lambda: state_of(repo, "feature-x") == "merged", 30)
    quiet(repo)
    assert repo.git("rev-parse", "main^2") == tip
    assert (repo.path / "app.py").read_text() == (there / "app.py").read_text()
    assert small.runs == 1
    assert list((there / ".loki" / "signals").glob("[!.]*")) == []
    assert signals(repo) == {"TESTS_PASSED", "TESTS_PASSED_x"}
    assert worktrees(repo) == {"project": "main", "x": "feature/x", "project-testing": "parallel-testing"}, (
        "what somebody made goes when somebody says so"
    )

    said = json.loads(repo.loki("cleanup", "--json").out)
    assert {c["stream"]: c["action"] for c in said}["feature-x"] == "remove"
    assert not there.exists()
    assert list(refs(repo, "refs/loki/trash/feature-x/").values()) == [tip]


def test_what_a_worktree_says_of_another_stream_is_not_heard(repo: Repo, hooks: Hooks, tmp_path: Path) -> None:
    small = begin(repo, hooks, "native", tmp_path / "ran")
    for name in ("x", "y"):
        repo.git("worktree", "add", "-q", f"../{name}", "-b", f"feature/{name}")
        repo.commit("Work", {f"{name}.py": "pass\n"}, cwd=small.beside(name))
    quiet(repo)
    (small.beside("x") / ".loki" / "signals" / "FEATURE_READY_y").touch()
    (small.beside("x") / ".loki" / "signals" / "MERGE_REQUESTED_feature-x").touch()
    repo.git("checkout", "-q", "main")
    eventually(lambda: state_of(repo, "feature-x") == "merged", 30, "a request to merge is a wish like FEATURE_READY")
    quiet(repo)
    assert state_of(repo, "feature-y") == "open"


@pytest.mark.parametrize("way", BOTH)
def test_a_merge_by_hand_has_the_same_consequences(way: str, repo: Repo, hooks: Hooks, tmp_path: Path) -> None:
    small = begin(repo, hooks, way, tmp_path / "ran", more={"README.md": README})
    spawned = repo.loki("spawn", "y", "z", "--no-launch", "--json")
    assert [m["status"] for m in json.loads(spawned.out)] == ["open", "open"], spawned.err
    at = {m["name"]: Path(m["path"]) for m in json.loads(spawned.out)}
    tip = repo.commit("Greet by name", {"app.py": APP.replace("greet()", "greet(name)")}, cwd=at["y"])
    repo.commit("Greet wrongly", {"wrong.py": "BUG\n"}, cwd=at["z"])
    repo.commit("Elsewhere", {"other.py": "pass\n"})
    quiet(repo)
    assert repo.loki("test", "--json").code == 0
    before = small.runs

    # Red: refused with the tail, and the branch is where it was.
    old = small.main
    refused = repo.try_git("merge", "--no-ff", "--no-edit", "feature/z")
    assert refused.code != 0
    assert "there is a BUG" in refused.err + refused.out
    assert small.main == old
    repo.git("merge", "--abort")

    # Green: tested once, and then all that follows a landing.
    repo.git("merge", "-q", "--no-ff", "--no-edit", "feature/y")
    assert small.runs == before + 2
    eventually(lambda: state_of(repo, "feature-y") == "archived", 30)
    quiet(repo)
    assert small.runs == before + 2
    assert repo.git("rev-parse", "main^2") == tip
    (item,) = [i for i in json.loads(repo.loki("queue", "list", "docs", "--json").out) if i["symbol"]]
    assert (item["symbol"], item["trigger"], item["commit"], item["docs"]) == (
        "greet",
        "public-changed",
        tip,
        [{"path": "README.md", "line": 3}],
    )
    assert signals(repo) == {"DOCS_NEEDED", "TESTS_PASSED"}
    assert worktrees(repo) == {
        "project": "main",
        "project-feature-z": "feature/z",
        "project-testing": "parallel-testing",
    }
    assert repo.git("rev-parse", "parallel-testing") == small.main
    assert list(refs(repo, "refs/loki/trash/").values()) == [tip]
    assert refs(repo, "refs/loki/processed") == {"refs/loki/processed": small.main}
    assert state_of(repo, "feature-z") == "open"


@pytest.mark.parametrize("way", BOTH)
def test_a_pull_with_rebase_and_a_squash_merge_are_landings_too(
    way: str, repo: Repo, hooks: Hooks, tmp_path: Path
) -> None:
    small = begin(repo, hooks, way, tmp_path / "ran", more={"README.md": README})
    repo.git("push", "-q", "-u", "origin", "main")
    quiet(repo)
    other = Repo(small.beside("other"))
    repo.git("clone", "-q", "../origin.git", str(other.path))
    pulled = other.commit("Leave by name", {"app.py": APP.replace("leave()", "leave(name)")})
    other.git("push", "-q", "origin", "main")
    repo.commit("Mine", {"mine.py": "pass\n"})
    repo.git("pull", "-q", "--rebase")
    eventually(lambda: refs(repo, "refs/loki/processed") == {"refs/loki/processed": small.main}, 30)
    items = json.loads(repo.loki("queue", "list", "docs", "--json").out)
    assert [(i["symbol"], i["commit"]) for i in items if i["symbol"]] == [("leave", pulled)]

    repo.git("branch", "-q", "topic")
    repo.git("worktree", "add", "-q", "../topic", "topic")
    base = (repo.path / "app.py").read_text()
    repo.commit("Greet by name", {"app.py": base.replace("greet()", "greet(name)")}, cwd=small.beside("topic"))
    repo.git("merge", "-q", "--squash", "topic")
    repo.git("commit", "-q", "-m", "Greet by name (squashed)")
    eventually(lambda: refs(repo, "refs/loki/processed") == {"refs/loki/processed": small.main}, 30)
    items = json.loads(repo.loki("queue", "list", "docs", "--json").out)
    assert {(i["symbol"], i["commit"]) for i in items if i["symbol"]} == {("greet", small.main), ("leave", pulled)}
    quiet(repo)


SLOW_HOOK = """  - repo: local
    hooks:
      - id: slow
        name: a slow hook of the project's own
        language: system
        entry: sh -c 'touch "{stashed}"; while [ ! -e "{go}" ]; do sleep 0.05; done'
        stages: [post-commit]
        always_run: true
        pass_filenames: false
"""


@pytest.mark.network
def test_nothing_is_decided_on_a_tree_that_pre_commit_has_stashed(repo: Repo, hooks: Hooks, tmp_path: Path) -> None:
    """While it runs hooks the user's edits are away; a landing in that moment would lose them, or git's merge would."""
    stashed, go = tmp_path / "stashed", tmp_path / "go"
    go.touch()
    config = hooks.config + SLOW_HOOK.format(stashed=stashed, go=go)
    small = begin(repo, hooks, "pre-commit", tmp_path / "ran")
    repo.commit("A slow hook", {".pre-commit-config.yaml": config})
    repo.git("worktree", "add", "-q", "../x", "-b", "feature/x")
    repo.commit("Greet louder", {"app.py": APP.replace("'hello'", "'HELLO'")}, cwd=small.beside("x"))
    quiet(repo)
    go.unlink()
    stashed.unlink()
    edited = APP.replace("'bye'", "'see you'")
    repo.write("app.py", edited)
    (repo.signals / "FEATURE_READY_x").touch()
    old = small.main

    commit = subprocess.Popen(
        ["git", "commit", "-q", "--allow-empty", "-m", "In between"],
        cwd=repo.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    eventually(stashed.exists, 30)
    assert (repo.path / "app.py").read_text() == APP, "pre-commit has stashed the edit"
    worker = [w for w in _workers(repo) if "post-commit" in w]
    assert worker, "the worker waits"
    assert state_of(repo, "feature-x") == "open", "and decides nothing meanwhile"
    go.touch()
    assert commit.wait(30) == 0
    eventually(lambda: events(repo, "landing-waits"), 30)
    quiet(repo)
    assert (repo.path / "app.py").read_text() == edited
    assert repo.git("rev-parse", "main^") == old, "only the user's own commit is new"
    found = stream(repo, "x")
    assert found is not None
    assert found["status"] == "ready"
    assert "app.py" in found["reason"]

    repo.git("commit", "-q", "-a", "-m", "Leave differently")
    eventually(lambda: state_of(repo, "feature-x") == "merged", 30, "now nothing stands in its way")
    assert (repo.path / "app.py").read_text() == edited.replace("'hello'", "'HELLO'")
    quiet(repo)


def _workers(repo: Repo) -> list[str]:
    return [words for words in our_processes(repo) if "__main__.py worker" in words]


AGENT = """
import pathlib, subprocess
pathlib.Path("app.py").write_text(pathlib.Path("app.py").read_text().replace("hello", "good day"))
pathlib.Path("other.py").write_text("changed\\n")
pathlib.Path("new.py").write_text("new\\n")
subprocess.run(["git", "commit", "-q", "-m", "Half of it", "app.py"], check=True)
assert pathlib.Path("other.py").read_text() == "changed\\n"
"""


@pytest.mark.network
def test_an_agent_that_commits_half_of_its_work_under_pre_commit_loses_nothing(
    repo: Repo, hooks: Hooks, tmp_path: Path
) -> None:
    (tmp_path / "agent.py").write_text(AGENT)
    small = begin(repo, hooks, "pre-commit", tmp_path / "ran", more={"other.py": "first\n"})
    with (repo.path / "loki-hooks.toml").open("a") as config:
        config.write(
            f"[agents.scripted]\ncommand = [{sys.executable!r}, {str(tmp_path / 'agent.py')!r}]\n"
            "[session]\nagent = 'scripted'\n"
        )
    repo.commit("An agent")
    repo.write("README.md", "an edit of mine\n")
    quiet(repo)
    made = json.loads(repo.loki("spawn", "half", "--json").out)
    assert made[0]["status"] == "running"
    eventually(lambda: state_of(repo, "feature-half") == "archived", 40)
    quiet(repo)
    assert repo.git("show", "main:app.py") == APP.replace("hello", "good day").rstrip("\n")
    assert (repo.path / "other.py").read_text() == "changed\n"
    assert (repo.path / "new.py").read_text() == "new\n"
    assert repo.git("status", "--porcelain") == " M README.md"
    assert (repo.path / "README.md").read_text() == "an edit of mine\n"
    assert small.runs == 1
