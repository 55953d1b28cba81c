"""What a person took out of the integration branch stays out: no stream that began with it brings it back."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
from conftest import Repo
from support.finishing import begun, state_of
from support.scripted import Yard

SECRET = {"leaked.cfg": "TOKEN=abc\n", "code.txt": "code\n"}


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def amend(repo: Repo) -> None:
    repo.git("rm", "-q", "leaked.cfg")
    repo.git("commit", "-q", "--amend", "-m", "Feature")


def reset(repo: Repo) -> None:
    repo.git("reset", "-q", "--hard", "HEAD~1")


def drop(repo: Repo) -> None:
    """A rebase that drops the commit below another one."""
    repo.commit("Go on", {"later.txt": "l\n"})
    repo.git("rebase", "-q", "--onto", "HEAD~2", "HEAD~1")


def by_others(repo: Repo) -> None:
    """Somebody rewrites the upstream, and the person takes that over."""
    other = repo.path.parent / "other.git"
    repo.git("clone", "-q", "--bare", str(repo.path), str(other))
    repo.git("remote", "add", "origin", str(other))
    repo.git("fetch", "-q", "origin")
    repo.git("update-ref", "refs/heads/main", "refs/heads/main~1", cwd=other)
    repo.git("fetch", "-q", "origin")
    repo.git("reset", "-q", "--hard", "origin/main")


def without_a_trace(repo: Repo) -> None:
    """As one is told to do when a secret slipped in."""
    amend(repo)
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("update-ref", "-d", "refs/loki/processed")


WAYS = [amend, reset, drop, by_others, without_a_trace]


def leaked(repo: Repo, *names: str) -> Yard:
    """Streams that began while the integration branch had the secret, each with work of its own."""
    made = begun(repo)
    repo.commit("Feature, and a file that should not be there", SECRET)
    made.open(*names)
    for name in names:
        repo.commit(f"Work of {name}", {f"{name}.txt": f"{name}\n"}, cwd=made.tree_of(name))
    return made


def own_work(repo: Repo, main: str) -> list[str]:
    """Return what the stream has beyond ``main`` as it was: what `sync` made ready may have landed by now."""
    return repo.git("log", "--reverse", "--format=%s", f"{main}..feature/a").splitlines()


@pytest.mark.parametrize("way", WAYS)
def test_it_waits_untested_and_sync_leaves_out_just_that(repo: Repo, way: Callable[[Repo], None]) -> None:
    made = leaked(repo, "a")
    old = repo.git("rev-parse", "main")
    way(repo)
    main = repo.git("rev-parse", "main")
    made.ready("a")
    made.run()
    assert (made.status("a"), made.runs(), repo.git("rev-parse", "main")) == ("ready", [], main)
    reason = made.record("a")["reason"]
    assert old[:9] in reason
    assert "`loki-hooks sync a`" in reason
    assert reason in repo.loki("status", "--json").out
    for words in (("--merge",), ("--merge", "--ungated"), ("--pr",)):
        done = repo.loki("finish", "a", *words)
        assert done.code == 1, words
        assert "loki-hooks sync a" in done.err, words
    synced = repo.loki("sync", "a")
    assert synced.code == 0, synced.err
    assert old[:12] in synced.err
    assert own_work(repo, main) == ["Work of a"]
    made.run()
    assert made.landed() == ["a"]
    assert {"a.txt", "leaked.cfg"} & made.on_main() == {"a.txt"}
    assert repo.try_git("merge-base", "--is-ancestor", old, "main").code == 1


def test_only_the_stream_that_has_it_waits_and_all_is_well_when_it_is_back(repo: Repo) -> None:
    made = leaked(repo, "a")
    old = repo.git("rev-parse", "main")
    reset(repo)
    made.open("b")
    made.work("b", {"b.txt": "b"})
    made.ready("a")
    made.run()
    assert made.landed() == ["b"]
    assert made.status("a") == "ready"
    repo.git("reset", "-q", "--hard", old)
    made.run()
    assert made.landed() == ["a"]


def test_what_came_by_a_merge_of_the_integration_branch_is_left_out_too(repo: Repo) -> None:
    made = begun(repo, "a")
    repo.commit("Feature, and a file that should not be there", SECRET)
    tree = made.tree_of("a")
    repo.git("merge", "-q", "--no-edit", "main", cwd=tree)
    repo.commit("More work", {"more.txt": "m\n"}, cwd=tree)
    amend(repo)
    repo.commit("And once more", {"again.cfg": "TOKEN=def\n"})
    repo.git("merge", "-q", "--no-edit", "main", cwd=tree)
    reset(repo)
    made.ready("a")
    made.run()
    assert (made.status("a"), made.landed()) == ("ready", [])
    assert "2 of its commits" in made.record("a")["reason"]
    main = repo.git("rev-parse", "main")
    assert repo.loki("sync", "a").code == 0
    assert own_work(repo, main) == ["Work of a", "More work"]
    made.run()
    assert made.landed() == ["a"]
    assert {"leaked.cfg", "again.cfg"} & made.on_main() == set()


def test_a_stream_on_one_that_has_it_waits_and_one_on_work_that_never_was_there_lands(repo: Repo) -> None:
    made = leaked(repo, "a")
    repo.git("branch", "-q", "aside", "main~1")
    repo.git("worktree", "add", "-q", str(repo.path.parent / "aside"), "aside")
    repo.commit("Aside", {"aside.txt": "x\n"}, cwd=repo.path.parent / "aside")
    made.spawn("--no-launch", "--base", "feature/a", "on-a")
    made.spawn("--no-launch", "--base", "aside", "on-aside")
    amend(repo)
    for name in ("on-a", "on-aside"):
        made.work(name, {f"{name}.txt": "x\n"})
    made.run()
    assert (made.status("on-a"), made.landed()) == ("ready", ["on-aside"])
    assert "aside.txt" in made.on_main()


def test_what_was_only_rewritten_was_not_taken_out(repo: Repo) -> None:
    made = leaked(repo, "a")
    repo.git("commit", "-q", "--amend", "-m", "Feature, in other words")
    made.ready("a")
    made.run()
    assert made.landed() == ["a"]


def test_a_key_that_was_in_a_message_does_not_come_back(repo: Repo) -> None:
    made = begun(repo)
    repo.commit("Use the server\n\nwith ghp_0123456789abcdefABCDEF", {"code.txt": "code\n"})
    made.open("a")
    repo.commit("Work", {"a.txt": "a\n"}, cwd=made.tree_of("a"))
    repo.git("commit", "-q", "--amend", "-m", "Use the server")
    made.ready("a")
    made.run()
    assert made.landed() == []
    assert "loki-hooks sync a" in made.record("a")["reason"]
    assert repo.loki("sync", "a").code == 0
    made.run()
    assert made.landed() == ["a"]
    assert "ghp_" not in repo.git("log", "--format=%B", "main")


def test_the_train_that_was_under_way_goes_on_without_it(repo: Repo) -> None:
    made = leaked(repo, "a")
    repo.git("worktree", "add", "-q", "-b", "feature/b", str(made.tree_of("b")), "main~1")
    made.once()
    (made.outside / "gate-wait").write_text("3")
    made.ready("a")
    made.work("b", {"b.txt": "b"})
    made.once()
    made.wait_for("a", "testing")
    amend(repo)
    (made.outside / "gate-wait").unlink()
    made.run()
    assert (made.status("a"), made.landed()) == ("ready", ["b"])
    assert "taken out" in made.record("a")["reason"]
    assert "leaked.cfg" not in made.on_main()
    made.quiet()


def test_what_passed_and_was_not_landed_may_be_merged_by_nobody_any_more(repo: Repo) -> None:
    made = begun(repo, more="[merge]\nauto = false\n[cleanup]\nauto = false\n")
    repo.commit("Feature, and a file that should not be there", SECRET)
    made.open("a")
    made.work("a", {"a.txt": "a"})
    made.run()
    assert (repo.signals / "MERGE_REQUESTED_feature-a").exists()
    amend(repo)
    made.run()
    assert made.status("a") == "ready"
    assert "taken out" in made.record("a")["reason"]
    assert not (repo.signals / "MERGE_REQUESTED_feature-a").exists()


def test_own_work_that_was_merged_by_hand_and_taken_back_is_never_dropped(repo: Repo) -> None:
    made = begun(repo, "a")
    repo.git("merge", "-q", "--ff-only", "feature/a")
    reset(repo)
    repo.commit("Something else", {"else.txt": "e\n"})
    made.ready("a")
    made.run()
    assert made.landed() == []
    main = repo.git("rev-parse", "main")
    assert repo.loki("sync", "a").code == 0
    assert own_work(repo, main) == ["Work of a"]
    made.run()
    assert made.landed() == ["a"]


def test_a_conflict_is_one_of_its_own_commits_and_all_is_as_it_was(repo: Repo) -> None:
    made = leaked(repo, "a")
    repo.commit("On code", {"code.txt": "mine\n"}, cwd=made.tree_of("a"))
    reset(repo)
    repo.commit("Other code", {"code.txt": "other\n"})
    made.ready("a")
    made.run()
    assert made.status("a") == "ready", "nobody is blamed for what is not theirs"
    before = state_of(made.tree_of("a"), repo)
    done = repo.loki("sync", "a")
    assert done.code == 1
    assert "On code" in done.err
    assert state_of(made.tree_of("a"), repo) == before


def test_without_any_reflog_the_stream_itself_proves_where_it_began(repo: Repo) -> None:
    repo.git("config", "core.logAllRefUpdates", "false")
    shutil.rmtree(repo.path / ".git" / "logs")
    made = leaked(repo, "a")
    amend(repo)
    repo.git("update-ref", "-d", "refs/loki/processed")
    made.ready("a")
    made.run()
    assert (made.status("a"), made.landed()) == ("ready", [])
    main = repo.git("rev-parse", "main")
    assert repo.loki("sync", "a").code == 0
    assert own_work(repo, main) == ["Work of a"]


def test_a_landing_rewritten_by_a_pull_is_still_there_and_one_that_was_amended_is_not(repo: Repo) -> None:
    made = begun(repo, "y")
    repo.commit("More of y", {"more.txt": "m\n"}, cwd=made.tree_of("y"))
    made.ready("y")
    made.run()
    assert made.landed() == ["y"]
    made.open("a", "b")
    repo.git(
        "rebase", "-q", "--no-ff", "main~1"
    )  # as `git pull --rebase` does: the merge is gone, its commits are copies
    made.work("a", {"a.txt": "a\n"})
    made.run()
    assert "a.txt" in made.on_main()
    repo.git("reset", "-q", "--hard", "feature/y~2")
    made.work("b", {"b.txt": "b\n"})
    made.run()
    assert made.status("b") == "ready"
    assert "b.txt" not in made.on_main()


def test_what_another_integration_branch_has_was_not_taken_out(repo: Repo) -> None:
    made = leaked(repo, "a")
    repo.git("branch", "-q", "develop", "main~1")
    text = (repo.path / "loki-hooks.toml").read_text()
    repo.git("switch", "-q", "develop")
    repo.commit("Develop", {"loki-hooks.toml": f'integration_branch = "develop"\n{text}'})
    made.ready("a")
    made.run()
    assert made.record("a")["status"] == "merged"
    assert "a.txt" in repo.git("ls-tree", "--name-only", "develop")


def test_a_branch_without_a_common_commit_is_all_its_own(repo: Repo) -> None:
    made = begun(repo)
    there = made.tree_of("new")
    repo.git("worktree", "add", "-q", "--detach", str(there))
    repo.git("switch", "-q", "--orphan", "feature/new", cwd=there)
    repo.commit("Anew", {"anew.txt": "a\n"}, cwd=there)
    made.once()
    assert made.status("new") == "open"
    (there / ".loki" / "signals").mkdir(parents=True, exist_ok=True)
    made.work("new", {"more.txt": "m\n"})
    made.once()
    assert "taken out" not in made.record("new")["reason"]
