"""Worktrees that other tools make are streams: each tool's own git commands, where nothing was configured for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repo, eventually
from support.scripted import Yard, yard

Make = Callable[[Repo, str], tuple[Path, str]]
"""Makes a worktree for a piece of work as a tool does; returns where it is and its branch."""


def plain(repo: Repo, name: str) -> tuple[Path, str]:
    path = repo.path.parent / name
    repo.git("worktree", "add", "-q", str(path))
    return path, name


def any_branch(repo: Repo, name: str) -> tuple[Path, str]:
    path = repo.path.parent / "elsewhere" / name
    repo.git("worktree", "add", "-q", "-b", f"jane/fix/{name}#1", str(path), "main")
    return path, f"jane/fix/{name}#1"


def claude_code(repo: Repo, name: str) -> tuple[Path, str]:
    path = repo.path / ".claude" / "worktrees" / name
    repo.git("worktree", "add", "-B", f"worktree-{name}", str(path), "main")
    return path, f"worktree-{name}"


def codex(repo: Repo, name: str) -> tuple[Path, str]:
    """Its app makes worktrees without a branch; one comes when the person keeps the work."""
    path = Path.home() / ".codex" / "worktrees" / "ac05" / name
    repo.git("worktree", "add", "--detach", str(path), "main")
    repo.git("switch", "-q", "-c", f"codex/{name}", cwd=path)
    return path, f"codex/{name}"


def worktrunk(repo: Repo, name: str) -> tuple[Path, str]:
    path = repo.path.parent / f"project.{name}"
    repo.git("worktree", "add", str(path), "-b", name, "main")
    return path, name


def workmux(repo: Repo, name: str) -> tuple[Path, str]:
    path = repo.path.parent / "project__worktrees" / name
    repo.git("worktree", "add", "-b", name, str(path), "main")
    repo.try_git("branch", "--unset-upstream", name)
    repo.git("config", "--local", f"workmux.worktree.{name}.mode", "window")
    return path, name


def gtr(repo: Repo, name: str) -> tuple[Path, str]:
    path = repo.path.parent / "project-worktrees" / name
    repo.git("worktree", "add", "--no-track", str(path), "-b", name, "main")
    return path, name


def agent_deck(repo: Repo, name: str) -> tuple[Path, str]:
    path = repo.path.parent / f"project-{name}"
    repo.git("-C", str(repo.path), "worktree", "add", "-b", f"session/{name}", str(path))
    return path, f"session/{name}"


TOOLS: tuple[Make, ...] = (plain, any_branch, claude_code, codex, worktrunk, workmux, gtr, agent_deck)


@pytest.fixture
def made(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Yard:
    monkeypatch.setenv("LOKI_TRUST", "1")
    made = yard(repo)
    assert repo.loki("install", "--native").code == 0
    return made


def streams(repo: Repo) -> dict[str, dict[str, object]]:
    """Return the streams that `status` shows, by branch."""
    return {s["branch"]: s for s in json.loads(repo.loki("status", "--json").out)["streams"]}


def adopted(repo: Repo, branch: str) -> str:
    """Wait until the branch is a stream's, by git's hooks alone; return the stream's name."""
    eventually(lambda: branch in streams(repo), what=f"{branch} to be adopted")
    found = streams(repo)[branch]
    assert (found["origin"], found["status"], found["kind"]) == ("adopted", "open", "feature")
    return str(found["name"])


@pytest.mark.parametrize("make", TOOLS, ids=lambda make: make.__name__)
def test_what_any_tool_makes_lands_green_and_is_stopped_red_by_its_word_only(made: Yard, make: Make) -> None:
    repo = made.repo
    path, branch = make(repo, "good")
    name = adopted(repo, branch)
    repo.commit("Good", {f"{make.__name__}.txt": "1\n"}, cwd=path)
    made.run()
    assert f"{make.__name__}.txt" not in made.on_main(), "nobody has said that it may land"
    if make is codex:
        (path / ".loki" / "signals" / f"FEATURE_READY_{name}").touch()
    else:
        assert repo.loki("signal", "emit", f"FEATURE_READY_{name}", cwd=path).code == 0
    made.run()
    assert f"{make.__name__}.txt" in made.on_main()
    assert path.is_dir(), "what others made is cleaned up by their word"
    repo.commit("Bad", {"bad.txt": "1\n"}, cwd=path)
    eventually(lambda: streams(repo)[branch]["status"] == "open", what="new work after the landing to be seen")
    assert repo.loki("finish", name, "--merge").code == 1
    assert "bad.txt" not in made.on_main()
    assert (path / "bad.txt").is_file()


def test_two_of_one_name_are_told_apart_and_it_is_said_once(made: Yard) -> None:
    repo = made.repo
    for branch, folder in (("feature/fix-login", "a"), ("fix/login", "b"), ("fix-login", "c")):
        repo.git("worktree", "add", "-q", "-b", branch, str(repo.path.parent / folder))
        adopted(repo, branch)
    names = {branch: s["name"] for branch, s in streams(repo).items()}
    assert names == {"feature/fix-login": "fix-login", "fix/login": "fix-login-2", "fix-login": "fix-login-3"}
    made.once()
    told = [e["detail"] for e in made.events("adopted")]
    assert [bool(detail) for detail in told] == [False, True, True]
    assert "fix-login already" in told[1]


def test_what_is_left_out_is_no_stream(made: Yard) -> None:
    repo = made.repo
    repo.commit(
        "Ignore", {"loki-hooks.toml": (repo.path / "loki-hooks.toml").read_text() + '[branches]\nignore = ["wip/*"]\n'}
    )
    repo.git("worktree", "add", "-q", "-b", "wip/x", str(repo.path.parent / "wip"))
    repo.git("worktree", "add", "-q", "--detach", str(repo.path.parent / "loose"))
    repo.git("switch", "-q", "-c", "mine")
    repo.git("worktree", "add", "-q", str(repo.path.parent / "main"), "main")
    made.once()
    assert streams(repo) == {}
    said = repo.loki("status").err
    assert f"git -C {repo.path.parent / 'loose'} switch -c NAME" in said
    assert "finish" not in said
    assert "wip" not in said


def test_a_worktree_of_the_gate_is_nobodys_stream_whatever_is_checked_out_in_it(made: Yard) -> None:
    repo = made.repo
    made.streams({"a": {"a.txt": "a"}})
    made.run()
    repo.git("switch", "-q", "-c", "looking", cwd=repo.path.parent / "project-testing")
    made.once()
    assert streams(repo) == {}


def test_a_push_of_an_adopted_branch_is_gated_where_the_gate_says_so(made: Yard, tmp_path: Path) -> None:
    repo = made.repo
    repo.git("init", "-q", "--bare", str(tmp_path / "hub.git"))
    repo.git("remote", "add", "origin", str(tmp_path / "hub.git"))
    path, branch = claude_code(repo, "fox")
    adopted(repo, branch)
    repo.commit("Bad", {"bad.txt": "1\n"}, cwd=path)
    assert repo.try_git("push", "-q", "origin", branch, cwd=path).code == 0, "not in the default"
    text = (repo.path / "loki-hooks.toml").read_text()
    repo.commit(
        "Gate them", {"loki-hooks.toml": text.replace("[gates.unit]\n", '[gates.unit]\nbranches = ["{adopted}"]\n')}
    )
    repo.git("commit", "-q", "--allow-empty", "-m", "More", cwd=path)
    assert repo.try_git("push", "-q", "origin", branch, cwd=path).code == 1


def test_a_worktree_that_was_there_before_the_users_word_is_set_up_by_it(repo: Repo) -> None:
    made = yard(repo, more='[gates.other]\ncommand = "true"\n')
    text = (repo.path / "loki-hooks.toml").read_text()
    repo.commit("Set up", {"loki-hooks.toml": text.replace("setup = false", 'setup = "touch was-set-up"')})
    repo.write(".env", "A=1\n")
    path, branch = plain(repo, "early")
    (repo.path / ".git" / "loki").mkdir(exist_ok=True)
    (repo.path / ".git" / "loki" / "enabled").write_text("pre-commit\n")
    made.once()
    assert "waits for your word" in str(streams(repo)[branch]["reason"])
    assert not (path / ".env").exists()
    assert repo.loki("trust").code == 0
    eventually((path / "was-set-up").exists)
    assert (path / ".env").exists()
    assert streams(repo)[branch]["reason"] == ""
