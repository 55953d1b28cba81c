"""Landing by pull request (`merge.how = "pr"`): tested as it will merge, pushed, opened, recognised when it comes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Repo, call
from support.finishing import fake_gh, hub
from support.scripted import Yard, yard

URL = "https://github.com/o/r/pull/7"


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def on_hub(repo: Repo, branch: str) -> str:
    """Return the commit of a branch on the remote, '' for none."""
    return repo.git("ls-remote", "../origin.git", f"refs/heads/{branch}").partition("\t")[0]


def now_again(made: Yard) -> None:
    """As if the time to try again, and to ask the remote again, had come."""
    path = made.loki_dir / "state" / "orchestrator.json"
    state = json.loads(path.read_text())
    for entry in state["worktrees"].values():
        entry["not_before"] = ""
    path.write_text(json.dumps(state))
    (made.loki_dir / "state" / "fetched").unlink(missing_ok=True)


def test_per_kind_one_lands_and_the_other_is_tested_alone_pushed_and_opened(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = yard(repo, more='[merge.how]\nfeature = "pr"\n')
    hub(made)
    fake_gh(made, monkeypatch, f"echo {URL}")
    made.spawn("--no-launch", "--kind", "qa", "qa")
    repo.commit("Check", {"q.txt": "1"}, cwd=repo.path.parent / "project-qa")
    repo.loki("signal", "emit", "FEATURE_READY_qa")
    made.streams({"a": {"a.txt": "a"}, "b": {"bad-b": "b"}})
    tip = repo.git("rev-parse", "feature/a")
    made.run()
    assert "q.txt" in made.on_main()
    assert "a.txt" not in made.on_main()
    assert (made.status("a"), made.record("a")["reason"]) == ("proposed", URL)
    assert on_hub(repo, "feature/a") == tip
    assert repo.git("config", "branch.feature/a.merge") == "refs/heads/feature/a"
    assert (made.status("b"), on_hub(repo, "feature/b")) == ("rejected", "")
    merged = repo.git("merge-tree", "--write-tree", "main", "feature/a")
    assert merged in made.runs(), "tested as it merges into the tip that there is now"
    assert len(made.runs()) <= 4, "qa, a on it, b on it, main: nothing twice, nothing in vain"
    assert len(set(made.runs())) == len(made.runs())
    assert "Gates, merged into main:\n\n- unit: passed" in (made.outside / "gh-body").read_text()
    assert not (repo.signals / "MERGE_REQUESTED_feature-a").exists()
    assert (repo.signals / "TESTS_PASSED_a").exists()
    made.run()
    assert (made.outside / "gh-calls").read_text() == "pr create\n", "opened once"


def test_what_hinders_a_proposal_is_said_and_tried_again_later(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    made = yard(repo, more='[merge]\nhow = "pr"\n')
    made.streams({"a": {"a.txt": "a"}})
    tip = repo.git("rev-parse", "feature/a")
    made.run()
    assert made.status("a") == "passed"
    assert "there is no remote" in made.record("a")["reason"]
    hub(made)
    hook = repo.path.parent / "origin.git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    made.run()
    assert not (made.outside / "gh-calls").exists()
    assert len(made.events("proposal-waits")) == 1, "not in a tight loop"
    now_again(made)
    made.run()
    assert (
        "cannot push feature/a to origin: [remote rejected] (pre-receive hook declined)" in made.record("a")["reason"]
    )
    hook.unlink()
    closed = 'case "$*" in *view*OPEN*) exit 0;; *view*) echo https://github.com/o/r/pull/1; exit 0;; esac'
    fake_gh(made, monkeypatch, f"{closed}; echo 'gh: not logged in' >&2; exit 4")
    now_again(made)
    made.run()
    assert (made.status("a"), on_hub(repo, "feature/a")) == ("passed", tip)
    assert "gh: not logged in" in made.record("a")["reason"]
    fake_gh(made, monkeypatch, f"echo {URL}")
    done = repo.loki("finish", "a", "--merge")
    assert done.code == 0, done.err
    assert f"proposed, as merge.how says: {URL}" in done.err
    assert made.status("a") == "proposed"
    assert len(made.runs()) == 1
    assert "a.txt" not in made.on_main()


def test_with_auto_off_it_waits_and_more_commits_are_tested_and_pushed_again(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = yard(repo, more='[merge]\nhow = "pr"\nauto = false\n')
    hub(made)
    fake_gh(made, monkeypatch, f"echo {URL}")
    made.streams({"a": {"a.txt": "a"}})
    made.run()
    assert "waits for a person to propose it" in made.record("a")["reason"]
    assert on_hub(repo, "feature/a") == ""
    assert repo.loki("finish", "a", "--pr").code == 0
    assert made.status("a") == "proposed"
    assert len(made.runs()) == 1, "what is known of it merged lets it through"
    tip = made.work("a", {"more.txt": "m"})
    made.run()
    assert "waits for a person" in made.record("a")["reason"]
    assert repo.loki("finish", "a", "--merge").code == 0
    assert (made.status("a"), on_hub(repo, "feature/a")) == ("proposed", tip)
    assert len(made.runs()) == 2


@pytest.mark.parametrize("way", ["merge", "squash", "rebase"])
def test_its_merge_is_recognised_when_it_comes_back(repo: Repo, tmp_path: Path, way: str) -> None:
    made = yard(repo, more='[merge]\nhow = "pr"\n')
    hub(made, "../origin.git")
    repo.git("push", "-q", "origin", "main")
    made.open("a")
    repo.commit("First half", {"a.txt": "a\n"}, cwd=made.tree_of("a"))
    made.work("a", {"b.txt": "b\n"})
    made.run()
    assert made.status("a") == "proposed"
    assert "pull request" in made.record("a")["reason"]
    there = tmp_path / "reviewer"
    call(["git", "clone", "-q", str(repo.path.parent / "origin.git"), str(there)], tmp_path)
    repo.commit("Meanwhile", {"other.txt": "o\n"}, cwd=there)
    if way == "merge":
        repo.git("merge", "-q", "--no-ff", "-m", "Merge (#7)", "origin/feature/a", cwd=there)
    elif way == "squash":
        repo.git("merge", "-q", "--squash", "origin/feature/a", cwd=there)
        repo.git("commit", "-q", "-m", "A (#7)", cwd=there)
    else:
        repo.git("cherry-pick", "origin/main..origin/feature/a", cwd=there)
    repo.git("push", "-q", "origin", "main", cwd=there)
    now_again(made)
    made.run()
    assert repo.git("rev-parse", "main") == repo.git("rev-parse", "HEAD", cwd=there)
    assert made.status("a") == "archived"
    assert not made.tree_of("a").exists()


def test_those_tested_side_by_side_need_no_more_worktrees_than_the_cap_has_places(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = yard(repo, cap=2, more='[merge]\nhow = "pr"\n')
    hub(made)
    fake_gh(made, monkeypatch, f"echo {URL}")
    (made.outside / "gate-wait").write_text("0.3")
    made.streams({name: {f"{name}.txt": name} for name in "abc"})
    made.run()
    made.quiet()
    assert [made.status(name) for name in "abc"] == ["proposed"] * 3
    assert {p.name for p in repo.path.parent.glob("project-testing*")} == {"project-testing", "project-testing-2"}
    assert (repo.path / ".git" / "worktrees" / "project-testing-2" / "loki-gate").exists(), "and it was used"
    assert "not a stream" not in repo.loki("status").err
