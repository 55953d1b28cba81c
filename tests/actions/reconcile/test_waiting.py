"""What waits for a person goes on by what the person does about it, and is told truly meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from conftest import SCRIPTS, Repo, eventually
from support.scripted import Yard, yard


@pytest.fixture
def made(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Yard:
    """Without hooks: nothing but the process that waits can see what is done here."""
    monkeypatch.setenv("LOKI_TRUST", "1")
    made = yard(repo)
    repo.loki("run", "--once")
    return made


def row(repo: Repo, name: str) -> dict[str, object]:
    shown = json.loads(repo.loki("status", "--json").out)
    return next(s for s in shown["streams"] if s["name"] == name)


def verdict(repo: Repo) -> str:
    return str(json.loads(repo.loki("status", "--json").out)["verdict"]["verdict"])


@pytest.mark.parametrize("way", ["unstage", "stash", "commit", "take away"])
def test_what_stood_in_the_way_is_taken_away_and_it_lands(made: Yard, way: str) -> None:
    repo = made.repo
    if way == "take away":
        repo.write("a.txt", "in the way\n")
    else:
        repo.write("app.py", "mine = 1\n")
        repo.git("add", "app.py")
    made.streams({"a": {"a.txt": "a"}})
    made.run()
    assert str(row(repo, "a")["reason"]).startswith("waits to land: ")
    assert verdict(repo) == "ESCALATE"
    if way == "unstage":
        repo.git("restore", "--staged", "app.py")
    elif way == "stash":
        repo.git("stash", "-q")
    elif way == "commit":
        repo.git("commit", "-q", "-m", "Mine")
    else:
        (repo.path / "a.txt").unlink()
    eventually(lambda: made.landed() == ["a"], what="a to land by itself")
    eventually(lambda: not [words for words in made.ours() if " turns " in words], what="nobody to wait any more")


def test_a_reason_that_is_over_is_not_shown_and_showing_it_goes_on(made: Yard) -> None:
    repo = made.repo
    repo.write("app.py", "mine = 1\n")
    repo.git("add", "app.py")
    made.streams({"a": {"a.txt": "a"}})
    made.run()
    for words in made.ours():  # nobody waits: it was killed, say
        pid = subprocess.run(["pgrep", "-f", "--", words], capture_output=True, text=True, check=False).stdout.split()
        for one in pid:
            subprocess.run(["kill", "-9", one], check=False)
    repo.git("restore", "--staged", "app.py")
    done = repo.loki("status")
    assert "staged" not in done.out
    eventually(lambda: made.landed() == ["a"], what="a to land because somebody looked")


def test_trust_goes_on_with_what_waited_for_it(repo: Repo) -> None:
    made = yard(repo)
    repo.loki("trust")
    made.once()
    made.streams({"a": {"a.txt": "a"}})
    text = (repo.path / "loki-hooks.toml").read_text()
    repo.commit("Another gate", {"loki-hooks.toml": text + '[gates.more]\ncommand = "true"\n'})
    made.once()
    assert "waits for your word" in str(row(repo, "a")["reason"])
    assert verdict(repo) == "ESCALATE"
    assert repo.loki("trust").code == 0
    eventually(lambda: made.landed() == ["a"], what="a to land after `trust`")


def test_a_rejected_stream_says_how_it_goes_on_and_what_its_tests_said(made: Yard) -> None:
    repo = made.repo
    made.streams({"a": {"bad.txt": "a"}})
    made.run()
    said = repo.loki("status").out
    assert "loki-hooks logs a --gate" in said
    assert "loki-hooks resume a" in said
    shown = repo.loki("logs", "a", "--gate").out
    assert "bad.txt is bad" in shown
    assert "unit failed" in shown
    made.streams({"b": {"b.txt": "b"}})
    made.run()
    assert "bad.txt is bad" in repo.loki("logs", "a", "--gate").out, "another's run since changes nothing"
    repo.git("rm", "-q", "bad.txt", cwd=made.tree_of("a"))
    repo.commit("Mend", {"a.txt": "a"}, cwd=made.tree_of("a"))
    assert "it has new commits: `loki-hooks finish a --merge`" in repo.loki("status").out
    assert repo.loki("finish", "a", "--merge").code == 0


def test_what_landed_since_the_last_look_is_shown_and_all_of_it_can_be_followed(made: Yard) -> None:
    repo = made.repo
    made.streams({"a": {"a.txt": "a"}})
    made.run()
    assert "since you last looked: a has landed" in repo.loki("status").out
    assert "a: landed on main" in repo.loki("report").out
    argv = [str(SCRIPTS / "loki-hooks"), "report", "--follow"]
    with subprocess.Popen(argv, cwd=repo.path, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        made.streams({"b": {"b.txt": "b"}})
        made.run()
        assert any(line.startswith("b: landed") for line in iter(child.stdout.readline, ""))
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 130


def test_a_red_integration_branch_asks_for_a_person(made: Yard) -> None:
    repo = made.repo
    repo.commit("Red", {"bad.txt": "1"})
    made.streams({"a": {"a.txt": "a"}})
    made.run()
    assert verdict(repo) == "ESCALATE"


def test_a_wish_to_merge_that_is_interrupted_stands_and_can_be_taken_back(made: Yard) -> None:
    repo = made.repo
    (made.outside / "gate-wait").write_text("60")
    made.open("a")
    repo.commit("Work", {"a.txt": "a"}, cwd=made.tree_of("a"))
    child = subprocess.Popen(
        [SCRIPTS / "loki-hooks", "finish", "a", "--merge"], cwd=repo.path, stderr=subprocess.PIPE, text=True
    )
    made.wait_for("a", "testing")
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "a is still to be merged" in err
    assert "`loki-hooks stop a` takes that back" in err
    assert repo.loki("stop", "a").code == 0
    assert made.status("a") == "stopped"
    (made.outside / "gate-wait").write_text("0")
    made.run()
    assert made.landed() == []
    made.quiet()


def test_what_begins_after_a_stream_that_was_given_up_asks_a_person(made: Yard) -> None:
    repo = made.repo
    made.open("a")
    made.spawn("--after", "a", "b")
    assert made.status("b") == "queued"
    assert repo.loki("finish", "a", "--abandon").code == 0
    made.run()
    assert made.status("b") == "escalated"
    assert "loki-hooks resume b" in str(row(repo, "b")["reason"])
    assert repo.loki("resume", "b").code == 0
    made.run()
    assert "b" in made.landed()


def test_a_task_for_a_stream_that_has_landed_is_not_dropped(made: Yard) -> None:
    repo = made.repo
    made.agent("a", "echo a > a.txt; git add a.txt; git commit -q -m a; exit 1\n")
    made.spawn("a")
    made.wait_for("a", "failed")
    repo.git("cherry-pick", "feature/a", env={"LOKI_HOOKS_DISABLE": "1"})
    done = repo.loki("resume", "a", "--task", "More")
    assert done.code == 1
    assert "landed" in done.err


@pytest.mark.parametrize("name", ["FEATURE_READY_ghost", "FEATURE_READY_new", "FEATURE_READY_red", "DOCS_NEEDED"])
def test_a_signal_that_nothing_would_come_of_says_why(made: Yard, name: str) -> None:
    repo = made.repo
    made.open("new")
    made.streams({"red": {"bad.txt": "1"}})
    made.run()
    done = repo.loki("signal", "emit", name)
    assert done.code == 1
    why = {"ghost": "no stream", "new": "no commit of its own", "red": "no new commit"}
    assert why.get(name.rpartition("_")[2], "no docs item waits") in done.err
    assert not (repo.signals / name).exists()


def test_a_session_needs_a_task_where_its_agent_takes_one(made: Yard) -> None:
    repo = made.repo
    done = repo.loki("spawn", "x")
    assert (done.code, made.status("x")) == (2, "")
    assert "--no-launch" in done.err
    assert repo.loki("spawn", "x", "--no-launch").code == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_our_commands(shell: str, repo: Repo) -> None:
    script = repo.loki("completion", shell).out
    assert "_LOKI_HOOKS_COMPLETE" in script
    env = {"_LOKI_HOOKS_COMPLETE": "bash_complete", "COMP_WORDS": "loki-hooks st", "COMP_CWORD": "1"}
    done = subprocess.run(
        [SCRIPTS / "loki-hooks"], cwd=repo.path, env=env | {"PATH": "/usr/bin:/bin"}, capture_output=True, check=False
    )
    assert b"status" in done.stdout, sys.version
