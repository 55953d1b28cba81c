"""`finish`: what each way does, and what it refuses, through the command line."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
from pathlib import Path

import pytest
from conftest import SCRIPTS, Repo
from support.finishing import begun, fake_gh, hub, listed, state_of
from support.scripted import Yard


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def finish(made: Yard, *words: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    done = made.repo.loki("finish", *words, env=env)
    return done.code, done.err + done.out


# --merge ----------------------------------------------------------------------------------------------------


def test_merge_goes_through_the_gate_though_landing_is_off(repo: Repo) -> None:
    made = begun(repo, "a", "b", more="[merge]\nauto = false\n")
    made.ready("b")
    code, text = finish(made, "a", "--merge")
    assert code == 0, text
    assert "1 commit ahead of main and 0 behind" in text
    assert made.landed() == ["a"], "what nobody asked for stays"
    assert len(made.runs()) >= 1
    assert "Loki-Gates: unit" in repo.git("log", "-1", "--format=%B", "main")


def test_what_waits_for_a_person_keeps_nobody_from_being_tested(repo: Repo) -> None:
    made = begun(repo, "a", "b", more="[merge]\nauto = false\n")
    made.ready("a")
    made.run()
    made.ready("b")
    made.run()
    assert {made.status("a"), made.status("b")} == {"passed"}
    assert len(made.runs()) == 2
    assert finish(made, "b", "--merge")[0] == 0
    assert made.landed() == ["b"]


def test_merge_tells_why_it_did_not_land(repo: Repo) -> None:
    made = begun(repo, "a")
    repo.commit("Break", {"bad": "x"}, cwd=made.tree_of("a"))
    before = repo.git("rev-parse", "main")
    code, text = finish(made, "a", "--merge")
    assert (code, repo.git("rev-parse", "main")) == (1, before)
    assert "has not landed: unit failed" in text
    assert made.status("a") == "rejected"


def test_merge_that_waits_lands_when_nothing_stands_in_its_way(repo: Repo) -> None:
    made = begun(repo, "a", more="[merge]\nauto = false\n[cleanup]\nauto = false\n")
    repo.write("README.md", "staged\n")
    repo.git("add", "README.md")
    code, text = finish(made, "a", "--merge")
    assert code == 1
    assert "staged changes" in text
    assert made.landed() == []
    repo.git("reset", "-q", "--hard")
    made.run()
    assert made.landed() == ["a"]


def test_a_wish_is_for_the_tip_that_it_was_said_of(repo: Repo) -> None:
    made = begun(repo, "a", more="[merge]\nauto = false\n")
    repo.write("README.md", "staged\n")
    repo.git("add", "README.md")
    assert finish(made, "a", "--merge")[0] == 1
    repo.commit("More", {"more.txt": "m"}, cwd=made.tree_of("a"))
    repo.git("reset", "-q", "--hard")
    made.run()
    assert made.landed() == []
    assert "waits for a person" in made.record("a")["reason"]


def test_merge_shows_conflicts_beforehand_and_lands_nothing(repo: Repo) -> None:
    made = begun(repo)
    made.open("a")
    repo.commit("Theirs", {"app.py": "theirs\n"}, cwd=made.tree_of("a"))
    repo.commit("Ours", {"app.py": "ours\n"})
    code, text = finish(made, "a", "--merge")
    assert code == 1
    assert "it would conflict in app.py" in text
    assert made.status("a") == "conflicted"


def test_ungated_lands_what_no_gate_passed_and_says_so(repo: Repo) -> None:
    made = begun(repo, "a")
    repo.commit("Break", {"bad": "x"}, cwd=made.tree_of("a"))
    code, text = finish(made, "a", "--merge", "--ungated", env={"LOKI_STREAM": "feature-a"})
    assert code == 1
    assert "a session cannot" in text
    assert made.landed() == []
    code, text = finish(made, "a", "--merge", "--ungated")
    assert code == 0, text
    assert made.landed() == ["a"]
    body = repo.git("log", "-1", "--format=%B", "main")
    assert "Loki-Ungated: true" in body
    assert "Loki-Gates" not in body
    (event,) = made.events("landed")
    assert event["evidence"]["ungated"] is True
    assert not made.runs()


def test_ungated_needs_merge(repo: Repo) -> None:
    made = begun(repo, "a")
    assert finish(made, "a", "--ungated")[0] == 2
    assert finish(made, "a", "--pr", "--ungated")[0] == 2


def test_ungated_waits_for_what_is_open_in_main(repo: Repo) -> None:
    made = begun(repo, "a")
    repo.write("README.md", "staged\n")
    repo.git("add", "README.md")
    before = repo.git("rev-parse", "main")
    code, text = finish(made, "a", "--merge", "--ungated")
    assert (code, repo.git("rev-parse", "main")) == (1, before)
    assert "staged" in text


# What all of them refuse -----------------------------------------------------------------------------------


def test_without_a_way_and_without_a_terminal_it_is_a_usage_error(repo: Repo) -> None:
    made = begun(repo, "a")
    made.run()
    assert finish(made, "a")[0] == 2
    assert finish(made, "nobody", "--keep")[0] == 2
    assert finish(made, "main", "--keep")[0] == 1


@pytest.mark.parametrize("way", ["--merge", "--pr", "--keep"])
def test_uncommitted_work_is_never_discarded(repo: Repo, way: str) -> None:
    made = begun(repo, "a")
    repo.write("a.txt", "changed\n", made.tree_of("a"))
    repo.write("new.txt", "new\n", made.tree_of("a"))
    before = state_of(made.tree_of("a"), repo)
    code, text = finish(made, "a", way)
    assert code == 1
    assert "new.txt" in text
    assert state_of(made.tree_of("a"), repo) == before


@pytest.mark.parametrize("way", ["--merge", "--keep", "--abandon"])
def test_a_live_session_is_not_finished(repo: Repo, way: str) -> None:
    made = begun(repo)
    made.agent("a", "sleep 60\n")
    made.spawn("a")
    made.wait_for("a", "running")
    code, text = finish(made, "a", way)
    assert code == 1
    assert "loki-hooks stop a" in text
    assert made.status("a") == "running"
    repo.loki("stop", "a")
    made.quiet()


def test_on_a_terminal_it_asks_and_offers_to_commit(repo: Repo) -> None:
    made = begun(repo, "a")
    repo.write("new.txt", "new\n", made.tree_of("a"))
    leader, follower = pty.openpty()
    child = subprocess.Popen(
        [SCRIPTS / "loki-hooks", "finish", "a"],
        cwd=repo.path,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    seen = b""
    for answer, prompt in ((b"keep\n", b"How shall it end?"), (b"y\n", b"Commit it now?")):
        while prompt not in seen:
            seen += os.read(leader, 4096)
        os.write(leader, answer)
    while True:
        try:
            data = os.read(leader, 4096)
        except OSError:
            break
        if not data:
            break
        seen += data
    assert child.wait() == 0, seen.decode()
    os.close(leader)
    assert repo.git("show", "feature/a:new.txt") == "new"
    assert not made.tree_of("a").exists()


# --keep -----------------------------------------------------------------------------------------------------


def test_keep_gives_the_worktree_back_and_pushes_the_branch(repo: Repo) -> None:
    made = begun(repo, "a")
    repo.git("init", "-q", "--bare", "../origin.git")
    repo.git("remote", "add", "origin", "../origin.git")
    tip = repo.git("rev-parse", "feature/a")
    code, text = finish(made, "a", "--keep")
    assert code == 0, text
    assert not made.tree_of("a").exists()
    assert repo.git("rev-parse", "feature/a", "origin/feature/a").split() == [tip, tip]
    assert made.status("a") == "kept"
    made.run()
    assert repo.loki("cleanup").code == 0
    assert repo.git("rev-parse", "feature/a") == tip
    assert repo.loki("restore", "a").code == 0
    assert (made.tree_of("a") / "a.txt").exists()


def test_keep_keeps_what_no_commit_has(repo: Repo) -> None:
    made = begun(repo, "a")
    repo.write("secret/db", "precious\n", made.tree_of("a"))
    code, text = finish(made, "a", "--keep")
    assert code == 1
    assert "secret/" in text
    assert (made.tree_of("a") / "secret" / "db").exists()


def test_keep_does_not_lose_a_detached_commit(repo: Repo) -> None:
    made = begun(repo, "a")
    repo.git("switch", "-q", "--detach", cwd=made.tree_of("a"))
    repo.commit("Detached", {"d.txt": "d"}, cwd=made.tree_of("a"))
    code, text = finish(made, "a", "--keep")
    assert code == 1
    assert "nowhere else" in text


# --pr -------------------------------------------------------------------------------------------------------


def test_pr_pushes_opens_it_and_is_recognised_when_squashed(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    made = begun(repo, "a", more="[cleanup]\nauto = true\n")
    repo.commit("More of a", {"a2.txt": "2\n"}, cwd=made.tree_of("a"))
    hub(made)
    fake_gh(made, monkeypatch, "echo https://github.com/o/r/pull/7")
    code, text = finish(made, "a", "--pr")
    assert code == 0, text
    assert "https://github.com/o/r/pull/7" in text
    words = (made.outside / "gh-words").read_text().splitlines()
    assert words[:2] == ["pr", "create"]
    assert words[words.index("--head") + 1] == "feature/a"
    assert words[words.index("--base") + 1] == "main"
    body = (made.outside / "gh-body").read_text()
    assert "- Work of a" in body
    assert "- unit: passed" in body
    assert made.status("a") == "proposed"
    assert repo.git("ls-remote", "../origin.git", "feature/a").split()[0] == repo.git("rev-parse", "feature/a")
    made.run()
    assert made.status("a") == "proposed"
    repo.git("merge", "-q", "--squash", "feature/a")
    repo.git("commit", "-q", "-m", "A (#7)")
    repo.commit("Go on", {"other.txt": "x"})
    made.run()
    assert made.status("a") == "archived"
    assert not made.tree_of("a").exists()


def test_pr_without_gh_or_github_pushes_and_says_what_to_do(repo: Repo) -> None:
    made = begun(repo, "a")
    hub(made, "../origin.git")
    code, text = finish(made, "a", "--pr")
    assert code == 0, text
    assert "open a pull request from feature/a into main" in text
    assert made.status("a") == "proposed"
    assert repo.git("ls-remote", "../origin.git", "feature/a")


def test_pr_is_refused_by_the_gate_that_guards_a_push(repo: Repo) -> None:
    made = begun(repo, "a")
    repo.commit("Break", {"bad": "x"}, cwd=made.tree_of("a"))
    hub(made, "../origin.git")
    code, text = finish(made, "a", "--pr")
    assert code == 1, text
    assert not repo.git("ls-remote", "../origin.git")
    assert made.status("a") == "open"


def test_pr_without_a_remote_is_refused(repo: Repo) -> None:
    made = begun(repo, "a")
    assert finish(made, "a", "--pr")[0] == 1
    assert made.status("a") == "open"


# --abandon --------------------------------------------------------------------------------------------------


def test_abandon_keeps_every_byte_and_restore_brings_it_back(repo: Repo) -> None:
    made = begun(repo)
    repo.commit("A file", {"keep.txt": "1\n", "gone.txt": "x\n"})
    made.open("a")
    tree = made.tree_of("a")
    repo.commit("Work", {"a.txt": "a\n"}, cwd=tree)
    repo.write("staged.txt", "staged\n", tree)
    repo.git("add", "staged.txt", cwd=tree)
    repo.write("staged.txt", "later\n", tree)
    repo.write("keep.txt", "changed\n", tree)
    (tree / "gone.txt").unlink()
    repo.write("un tracked/ü.txt", "u\n", tree)
    (tree / "link").symlink_to("keep.txt")
    (tree / "run.sh").write_text("#!/bin/sh\n")
    (tree / "run.sh").chmod(0o755)
    repo.write("id_rsa", "KEY\n", tree)
    repo.write("secret/db", "precious\n", tree)
    repo.git("init", "-q", "nested", cwd=tree)
    repo.write("nested/n.txt", "n\n", tree)
    before = state_of(tree, repo)
    code, text = finish(made, "a", "--abandon")
    assert code == 0, text
    assert not tree.exists()
    assert not repo.try_git("rev-parse", "-q", "--verify", "feature/a").out
    (entry,) = listed(made)
    folder = Path(entry["files"])
    assert (folder / "id_rsa").read_text() == "KEY\n"
    assert (folder / "secret" / "db").read_text() == "precious\n"
    assert (folder / "nested" / "n.txt").exists()
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert "KEY" not in repo.git("log", "-p", entry["ref"])
    assert repo.git("show", f"{entry['ref']}:un tracked/ü.txt") == "u"
    assert repo.loki("restore", "a").code == 0
    assert state_of(tree, repo) == before
    assert repo.git("show", ":staged.txt", cwd=tree) == "staged"
    assert (tree / "staged.txt").read_text() == "later\n"
    assert os.access(tree / "run.sh", os.X_OK)
    assert (tree / "link").is_symlink()
    assert made.status("a") == "kept"


def test_abandon_of_a_detached_worktree_keeps_both_tips(repo: Repo) -> None:
    made = begun(repo, "a")
    repo.git("switch", "-q", "--detach", cwd=made.tree_of("a"))
    lonely = repo.commit("Detached", {"d.txt": "d"}, cwd=made.tree_of("a"))
    tip = repo.git("rev-parse", "feature/a")
    assert finish(made, "a", "--abandon")[0] == 0
    (entry,) = listed(made)
    kept = repo.git("rev-list", entry["ref"]).split()
    assert {lonely, tip} <= set(kept)


@pytest.mark.parametrize("trouble", ["process", "rebase", "lock", "inside"])
def test_abandon_leaves_what_is_in_use(repo: Repo, trouble: str) -> None:
    made = begun(repo, "a")
    tree = made.tree_of("a")
    repo.write("new.txt", "n\n", tree)
    sleeper: subprocess.Popen[bytes] | None = None
    where = repo.path
    if trouble == "process":
        sleeper = subprocess.Popen(["sleep", "60"], cwd=tree)
    elif trouble == "rebase":
        (Path(repo.git("rev-parse", "--absolute-git-dir", cwd=tree)) / "rebase-merge").mkdir()
    elif trouble == "lock":
        repo.git("worktree", "lock", "--reason", "mine", str(tree))
    else:
        where = tree
    before = state_of(tree, repo)
    done = repo.loki("finish", "a", "--abandon", cwd=where)
    if sleeper is not None:
        sleeper.kill()
        sleeper.wait()
    assert done.code == 1, done.err
    assert state_of(tree, repo) == before
    assert listed(made) == []


def test_a_standing_wish_is_in_the_state_and_foreign_readers_see_json(repo: Repo) -> None:
    made = begun(repo, "a", more="[merge]\nauto = false\n")
    repo.write("README.md", "staged\n")
    repo.git("add", "README.md")
    finish(made, "a", "--merge")
    state = json.loads((made.loki_dir / "state" / "orchestrator.json").read_text())
    assert state["worktrees"]["feature-a"]["wanted"] == repo.git("rev-parse", "feature/a")
