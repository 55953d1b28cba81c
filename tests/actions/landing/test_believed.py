"""What decides about a landing proves itself: refs that anybody may write, branches made anew, changed configurations."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from conftest import Repo
from support.look import events, stream
from support.scripted import Yard, yard

from loki_hooks.actions.landing.train_ref import current_train
from loki_hooks.actions.train.build import build_train, pin_train
from loki_hooks.domain.refs import TRAIN
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import Status


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def remote(repo: Repo, tmp_path: Path) -> Repo:
    """A bare remote that main follows."""
    bare = tmp_path / "remote.git"
    repo.git("clone", "-q", "--bare", str(repo.path), str(bare))
    repo.git("remote", "add", "origin", str(bare))
    repo.git("fetch", "-q", "origin")
    repo.git("branch", "-q", "-u", "origin/main", "main")
    return Repo(bare)


def branch_with(repo: Repo, branch: str, files: dict[str, str]) -> str:
    """Make a branch with one commit of these files on main, without any worktree of ours."""
    repo.git("switch", "-q", "-c", branch)
    commit = repo.commit(f"On {branch}", files)
    repo.git("switch", "-q", "main")
    return commit


def notes(repo: Repo) -> str:
    return " | ".join(json.loads(repo.loki("status", "--json").out)["notes"])


def test_a_pinned_train_counts_only_where_each_car_is_the_merge_that_we_would_make(repo: Repo) -> None:
    made = yard(repo)
    base = repo.git("rev-parse", "main")
    tip = branch_with(repo, "feature/good", {"good.txt": "precious"})
    context = made.context()
    record = StreamRecord("feature", "good", Status.READY, "", "feature/good", base=base, tip=tip)
    train = build_train(context, base, [record])
    pin_train(context.git, train)
    assert current_train(context, base, [record], {}) == train
    lying = repo.git("commit-tree", "-p", base, "-p", tip, "-m", "Merge stream good", f"{base}^{{tree}}")
    squashed = repo.git("commit-tree", "-p", base, "-m", f"good\n\nLoki-Tip: {tip}", f"{train.cars[0].commit}^{{tree}}")
    for planted in (lying, squashed):
        repo.git("update-ref", TRAIN, planted)
        assert current_train(context, base, [record], {}) is None


def test_a_planted_remote_tracking_ref_moves_nothing_and_is_put_right(repo: Repo, tmp_path: Path) -> None:
    made = yard(repo)
    remote(repo, tmp_path)
    before = repo.git("rev-parse", "main")
    evil = branch_with(repo, "evil", {"bad.txt": "x"})
    repo.git("update-ref", "refs/remotes/origin/main", evil)
    made.once()
    assert repo.git("rev-parse", "main") == before
    assert repo.git("rev-parse", "origin/main") == before
    assert not events(repo, "forwarded")


@pytest.mark.parametrize("how", ["branch", "url"])
def test_another_upstream_is_followed_only_when_a_person_says_so(repo: Repo, tmp_path: Path, how: str) -> None:
    made = yard(repo)
    remote(repo, tmp_path)
    made.once()
    before = repo.git("rev-parse", "main")
    evil = branch_with(repo, "evil", {"bad.txt": "x"})
    if how == "branch":
        repo.git("push", "-q", "origin", "evil")
        repo.git("branch", "-q", "-u", "origin/evil", "main")
    else:
        repo.git("clone", "-q", "--bare", str(repo.path), str(tmp_path / "evil.git"))
        Repo(tmp_path / "evil.git").git("update-ref", "refs/heads/main", evil)
        repo.git("remote", "set-url", "origin", str(tmp_path / "evil.git"))
        repo.git("fetch", "-q", "origin")
    steps = made.once()["steps"]
    assert next(step["detail"] for step in steps if step["step"] == "forward").startswith("main follows origin/")
    assert repo.git("rev-parse", "main") == before
    assert repo.loki("install").code == 0
    made.once()
    assert repo.git("rev-parse", "main") == evil


def test_moved_past_the_gate_is_said_recorded_and_not_pushed(repo: Repo, tmp_path: Path) -> None:
    made = yard(repo, more="[merge]\npush = true\n")
    bare = remote(repo, tmp_path)
    before = repo.git("rev-parse", "main")
    made.once()
    assert "untested" not in notes(repo)
    evil = branch_with(repo, "evil", {"bad.txt": "x"})
    repo.git("merge", "-q", "--ff-only", "evil")
    made.run()
    assert [event["commit"] for event in events(repo, "moved-untested")] == [evil]
    assert "does not pass its gate" in notes(repo)
    assert bare.git("rev-parse", "main") == before
    assert repo.git("rev-parse", "main") == evil  # it is not undone


def test_another_head_of_the_remote_does_not_change_what_is_gated(repo: Repo, tmp_path: Path) -> None:
    made = yard(repo)
    remote(repo, tmp_path)
    made.once()
    repo.git("update-ref", "refs/remotes/origin/evil", branch_with(repo, "evil", {"loki-hooks.toml": ""}))
    repo.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/evil")
    told = json.loads(repo.loki("status", "--json").out)
    assert told["integration_branch"] == "main"
    assert "git names evil" in " | ".join(told["notes"])
    assert "git names evil" in made.run("--once").err
    forged = repo.path / ".git" / "loki" / "integration"
    forged.write_text(forged.read_text().replace('"main"', '"evil"'))
    assert made.context().config.integration == "evil"  # a forged record is none: git's word counts, as without one


def test_the_only_remotes_head_counts_whatever_it_is_called(repo: Repo, tmp_path: Path) -> None:
    repo.git("branch", "develop")
    repo.git("clone", "-q", "--bare", str(repo.path), str(tmp_path / "hub.git"))
    Repo(tmp_path / "hub.git").git("symbolic-ref", "HEAD", "refs/heads/develop")
    repo.git("clone", "-q", "-o", "company", str(tmp_path / "hub.git"), str(tmp_path / "mine"))
    mine = Repo(tmp_path / "mine")
    mine.git("branch", "main")
    assert json.loads(mine.loki("status", "--json").out)["integration_branch"] == "develop"


def test_what_a_stream_changes_of_the_gate_waits_for_a_person(repo: Repo) -> None:
    made = yard(repo)
    made.once()
    config = (repo.path / "loki-hooks.toml").read_text()
    weak = config.partition("[gates.unit]")[0]
    made.streams({"weak": {"loki-hooks.toml": weak}})
    made.run()
    assert repo.git("show", "main:loki-hooks.toml") == weak.rstrip("\n")
    assert list(made.context().config.in_force.gates) == ["unit"]
    assert "a stream changed gates" in notes(repo)
    assert [event["detail"] for event in events(repo, "gates-held")] == ["a stream changed gates"]
    made.streams({"red": {"bad.txt": "x"}})
    made.run()
    assert made.status("red") == "rejected"
    assert "gates" in repo.loki("trust", "--show").err
    assert repo.loki("trust").code == 0
    assert not made.context().config.in_force.gates
    assert "a stream changed" not in notes(repo)


def test_what_a_person_changes_of_the_gate_is_in_force_at_once(repo: Repo) -> None:
    made = yard(repo)
    made.once()
    config = (repo.path / "loki-hooks.toml").read_text()
    repo.commit("Another gate", {"loki-hooks.toml": config + '[gates.more]\ncommand = "true"\n'})
    assert set(made.context().config.in_force.gates) == {"unit", "more"}
    made.open("x")
    assert set(made.context().config.in_force.gates) == {"unit", "more"}


def waiting(repo: Repo) -> Yard:
    """The yard with a stream that passed and waits for a person to land it."""
    made = yard(repo, more="[merge]\nauto = false\n")
    made.streams({"x": {"x.txt": "x"}})
    made.run()
    assert "x.txt" not in made.on_main()
    return made


def test_a_branch_made_anew_under_its_name_is_only_begun(repo: Repo) -> None:
    made = waiting(repo)
    tree = made.tree_of("x")
    repo.git("worktree", "remove", "--force", str(tree))
    repo.git("branch", "-q", "-D", "feature/x")
    repo.git("worktree", "add", "-q", "-b", "feature/x", str(tree))
    repo.commit("Half", {"half.txt": "x"}, cwd=tree)
    made.run()
    assert made.status("x") == "open"
    assert made.record("x")["tip"] == ""
    assert [event["stream"] for event in events(repo, "made-anew")] == ["feature-x"]


def test_a_branch_that_moved_to_other_commits_is_tested_anew(repo: Repo) -> None:
    made = waiting(repo)
    tree = made.tree_of("x")
    repo.git("reset", "-q", "--hard", "HEAD~1", cwd=tree)
    repo.commit("Rewritten", {"bad.txt": "x"}, cwd=tree)
    made.run()
    assert made.status("x") == "rejected"


def test_a_renamed_branch_is_followed(repo: Repo) -> None:
    made = yard(repo)
    made.agent("x", "git branch -m feature/better\necho x > x.txt\ngit add x.txt\ngit commit -qm X\n")
    made.agent(
        "gone", "git switch -qc fix\necho y > y.txt\ngit add y.txt\ngit commit -qm Y\ngit branch -qD feature/gone\n"
    )
    made.spawn("x", "gone", "--task", "t")
    made.run()
    assert "x.txt" in made.on_main()
    assert events(repo, "branch-renamed")[0]["detail"] == "feature/x is called feature/better now"
    left = stream(repo, "gone")
    assert left is not None
    assert (left["status"], left["reason"]) == (
        "escalated",
        f"the agent left the worktree on fix, and feature/gone is gone: `git -C {made.tree_of('gone')} branch -m feature/gone` "
        "gives it its name back",
    )


def test_a_squashed_trailer_in_a_branch_is_no_uncommitted_work(repo: Repo) -> None:
    made = yard(repo)
    made.open("x")
    tree = made.tree_of("x")
    other = repo.git("rev-parse", "main")
    tip = repo.commit(f"Say it\n\nLoki-Branch: feature/x\nLoki-Tip: {other}", {"x.txt": "x"}, cwd=tree)
    assert repo.loki("finish", "x", "--abandon").code == 0
    assert repo.loki("restore", "x").code == 0
    assert repo.git("rev-parse", "feature/x") == tip
    assert repo.git("status", "--porcelain", cwd=tree) == ""


def test_what_is_proposed_goes_to_the_fork(repo: Repo, tmp_path: Path) -> None:
    made = yard(repo)
    remote(repo, tmp_path)
    repo.git("clone", "-q", "--bare", str(repo.path), str(tmp_path / "fork.git"))
    repo.git("remote", "add", "fork", str(tmp_path / "fork.git"))
    repo.git("config", "remote.pushDefault", "fork")
    made.open("x")
    repo.commit("X", {"x.txt": "x"}, cwd=made.tree_of("x"))
    done = repo.loki("finish", "x", "--pr")
    assert "pushed to fork" in done.err
    assert Repo(tmp_path / "fork.git").git("rev-parse", "feature/x") == repo.git("rev-parse", "feature/x")
    assert "on origin" in done.err


def test_an_empty_key_is_no_key(repo: Repo) -> None:
    made = yard(repo)
    made.once()
    key = repo.path / ".git" / "loki" / "key"
    key.write_bytes(b"")
    os.utime(key)
    done = repo.loki("test", "main")
    assert done.code != 0
    assert "is empty" in done.err


def test_what_is_another_users_is_left_alone(repo: Repo) -> None:
    yard(repo).once()
    key = repo.path / ".git" / "loki" / "key"
    key.unlink()
    key.symlink_to("/nowhere/that/can/be/read")
    before = sorted((repo.path / ".loki").rglob("*"))
    for words in (("run", "--once"), ("status",), ("spawn", "x", "--no-launch"), ("signal", "emit", "FEATURE_READY_x")):
        done = repo.loki(*words)
        assert (done.code, "is another user's" in done.err) == (1, True), words
    assert sorted((repo.path / ".loki").rglob("*")) == before
