"""Resume: the work goes on where it stopped, told what is there; nothing is begun twice or lost."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from conftest import Done, Repo, eventually
from support.scripted import Yard, yard

COMMIT = 'echo "$(date +%N)" >> x.txt; git add x.txt; git commit -q -m "Step"\n'
KEEP_PROMPT = 'cp "$LOKI_MAIN/.loki/state/prompts/$LOKI_STREAM.md" "%s/prompt"\n'


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def resumed(made: Yard, *words: str, script: str = COMMIT) -> str:
    """Resume ``x``, see it land, return the prompt that it got."""
    made.agent("x", KEEP_PROMPT % made.outside + script)
    done = made.repo.loki("resume", "x", *words)
    assert done.code == 0, done.err
    made.wait_for("x", "archived", timeout=60)
    assert made.landed() == ["x"]
    return (made.outside / "prompt").read_text()


def refused(made: Yard, name: str, *words: str) -> Done:
    path = made.loki_dir / "state" / "orchestrator.json"
    before = path.read_bytes()
    done = made.repo.loki("resume", name, *words)
    assert done.code in {1, 2}, done
    assert path.read_bytes() == before
    return done


def test_a_failed_stream_goes_on_and_is_told_what_is_there(repo: Repo) -> None:
    made = yard(repo)
    made.agent("x", f"{COMMIT} echo half > half.txt; echo nearly there; echo 'a trap: ```' ; exit 3\n")
    made.spawn("x", "--task", "Build it\nin full")
    made.wait_for("x", "failed")
    made.quiet()
    first = made.record("x")
    prompt = resumed(made, "--task", "Mind the gap", script="git add half.txt; git commit -q -m Half\n")
    for words in (
        "Build it\nin full",
        "# Now\n\nMind the gap",
        "failed: the agent ended with exit status 3",
        "Step",
        "half.txt",
        "nearly there",
        "CONTINUITY.md",
    ):
        assert words in prompt, words
    assert "    a trap: ```" in prompt
    (event,) = made.events("resumed")
    assert "exit status 3" in event["detail"]
    assert first["path"] == event["evidence"]["path"]
    assert repo.git("show", "main:half.txt") == "half"


def test_a_rejected_stream_gets_the_report(repo: Repo) -> None:
    made = yard(repo)
    made.agent("x", "echo b > bad.txt; git add bad.txt; git commit -q -m Bad\n")
    made.spawn("x")
    made.wait_for("x", "rejected", timeout=60)
    made.quiet()
    prompt = resumed(made, script="git rm -q bad.txt; echo x > x.txt; git add x.txt; git commit -q -m Good\n")
    assert "rejected: " in prompt
    assert "    bad.txt is bad" in prompt
    assert "git merge main" in prompt
    assert not (repo.signals / "TESTS_FAILED_x").exists()


def test_a_conflicted_stream_gets_both_sides(repo: Repo) -> None:
    made = yard(repo)
    made.streams({"x": {"app.py": "theirs\n"}})
    repo.commit("Ours wins", {"app.py": "ours\n"})
    made.run()
    assert made.status("x") == "conflicted"
    prompt = resumed(made, script="git merge -q main; echo both > app.py; git add app.py; git commit -q -m Both\n")
    assert "- `app.py`: there " in prompt
    assert "Ours wins" in prompt
    assert "Work of x" in prompt
    assert repo.git("show", "main:app.py") == "both"


def test_a_killed_runners_stream_is_resumed(repo: Repo) -> None:
    made = yard(repo)
    made.agent("x", f"{COMMIT} echo working; sleep 300\n")
    made.spawn("x")
    made.wait_for("x", "running")
    eventually(lambda: "working" in repo.loki("logs", "x").out)
    os.kill(int(made.record("x")["session"]["pid"]), signal.SIGKILL)
    made.run()
    assert made.status("x") == "failed"
    assert "its runner died" in resumed(made)


def test_a_stopped_and_an_open_stream(repo: Repo) -> None:
    made = yard(repo)
    made.agent("x", "echo busy; sleep 300\n")
    made.spawn("x")
    made.wait_for("x", "running")
    busy = refused(made, "x")
    assert "already running" in busy.err
    assert repo.loki("stop", "x").code == 0
    prompt = resumed(made)
    assert "stopped: stopped by a person" in prompt
    assert "Nothing has been committed yet" in prompt
    made.quiet()
    made.open("y")
    assert repo.loki("resume", "y").code == 0
    made.wait_for("y", "archived")


def test_a_kept_stream_gets_a_new_worktree_on_its_branch(repo: Repo) -> None:
    made = yard(repo)
    made.agent("x", f"{COMMIT} exit 1\n")
    made.spawn("x")
    made.wait_for("x", "failed")
    made.quiet()
    done = repo.loki("finish", "x", "--keep")
    assert done.code == 0, done.err
    assert not made.tree_of("x").exists()
    tip = repo.git("rev-parse", "feature/x")
    prompt = resumed(made)
    assert "kept" in prompt
    assert repo.git("merge-base", "--is-ancestor", tip, "main") == ""


def test_one_whose_branch_or_worktree_is_elsewhere_says_what_to_do(repo: Repo, tmp_path: Path) -> None:
    made = yard(repo)
    made.agent("x", f"{COMMIT} git checkout -q -b elsewhere\n")
    made.spawn("x")
    made.wait_for("x", "escalated")
    made.quiet()
    assert "not on feature/x any more" in refused(made, "x").err
    repo.git("worktree", "add", "-q", str(tmp_path / "second"), "feature/x")
    assert "checked out in" in refused(made, "x").err
    repo.git("worktree", "remove", str(tmp_path / "second"))
    repo.git("switch", "-q", "feature/x", cwd=made.tree_of("x"))
    assert "elsewhere" in resumed(made)


def test_what_cannot_be_resumed_is_refused_and_nothing_changes(repo: Repo) -> None:
    made = yard(repo, cap=1)
    made.agent("a", "sleep 300\n")
    made.spawn("a", "b")
    made.wait_for("a", "running")
    eventually(lambda: made.record("b").get("reason"))
    assert "waits already" in refused(made, "b").err
    assert "no stream" in refused(made, "nobody").err
    assert "no stream that a session works in" in refused(made, "main").err
    assert "did you mean scripted" in refused(made, "a", "--agent", "scriptd").err
    assert "no file" in refused(made, "a", "--prompt-file", "nowhere").err
    assert repo.loki("stop", "b").code == 0
    assert repo.loki("stop", "a").code == 0
    made.quiet()
    state = json.loads((made.loki_dir / "state" / "orchestrator.json").read_text())
    state["worktrees"]["feature-b"]["agent"] = "gone"
    (made.loki_dir / "state" / "orchestrator.json").write_text(json.dumps(state))
    assert "no agent called 'gone'" in refused(made, "b").err
    assert "not trusted" in made.repo.loki("resume", "a", env={"LOKI_TRUST": ""}).err


def test_a_ready_signal_of_the_run_before_does_not_speak_for_the_next(repo: Repo) -> None:
    made = yard(repo)
    made.agent("x", f"{COMMIT} touch .loki/signals/FEATURE_READY_x; exit 1\n")
    made.spawn("x")
    made.wait_for("x", "failed")
    made.quiet()
    made.agent("x", f"{COMMIT} exit 1\n")
    assert repo.loki("resume", "x").code == 0
    eventually(lambda: len(made.events("session-failed")) == 2)
    made.run()
    assert made.status("x") == "failed"
    assert made.landed() == []
