"""The upstream: fetched first and in bounded time, followed when merely behind, never merged with when diverged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repo
from support.scripted import Yard, yard


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def with_remote(repo: Repo, tmp_path: Path, more: str = "", *, gate: bool = True) -> tuple[Yard, Repo]:
    """The yard, and another clone of the same remote."""
    made = yard(repo, more=more, gate=gate)
    bare = tmp_path / "remote.git"
    repo.git("clone", "-q", "--bare", str(repo.path), str(bare))
    repo.git("remote", "add", "origin", str(bare))
    repo.git("fetch", "-q", "origin")
    repo.git("branch", "-q", "-u", "origin/main", "main")
    repo.git("clone", "-q", str(bare), str(tmp_path / "colleague"))
    return made, Repo(tmp_path / "colleague")


def published(colleague: Repo, name: str) -> str:
    commit = colleague.commit(f"Add {name}", {name: "x"})
    colleague.git("push", "-q")
    return commit


def test_a_spawn_begins_at_what_others_have_pushed(repo: Repo, tmp_path: Path) -> None:
    made, colleague = with_remote(repo, tmp_path)
    theirs = published(colleague, "theirs.txt")
    made.open("x")
    assert repo.git("rev-parse", "main") == theirs
    assert repo.git("rev-parse", "feature/x") == theirs
    assert (repo.path / "theirs.txt").exists()


def test_behind_and_in_the_way_it_stays_says_so_and_touches_nothing(repo: Repo, tmp_path: Path) -> None:
    made, colleague = with_remote(repo, tmp_path)
    before = repo.git("rev-parse", "main")
    published(colleague, "theirs.txt")
    repo.write("theirs.txt", "mine\n")
    done = repo.loki("spawn", "x", "--no-launch")
    assert done.code == 0
    assert "behind" in done.err
    assert repo.git("rev-parse", "main") == before
    assert (repo.path / "theirs.txt").read_text() == "mine\n"
    made.work("x", {"x.txt": "x"})
    made.run()
    assert made.landed() == []
    assert made.runs() == []
    assert "behind" in made.record("x")["reason"]
    (repo.path / "theirs.txt").unlink()
    made.run()
    assert made.landed() == ["x"]
    assert "theirs.txt" in made.on_main()
    assert len(made.runs()) == 1


def test_a_gate_tests_what_was_pushed_meanwhile(repo: Repo, tmp_path: Path) -> None:
    made, colleague = with_remote(repo, tmp_path)
    made.agent("x", "echo x > x.txt; sleep 2.5\n")
    made.spawn("x")
    theirs = published(colleague, "theirs.txt")
    made.run()
    assert made.landed() == ["x"]
    assert repo.git("rev-parse", "main^1") == theirs
    assert len(made.runs()) == 1


def test_diverged_it_lands_nothing_and_says_why(repo: Repo, tmp_path: Path) -> None:
    made, colleague = with_remote(repo, tmp_path)
    published(colleague, "theirs.txt")
    ours = repo.commit("Ours", {"ours.txt": "x"})
    made.open("x")
    made.work("x", {"x.txt": "x"})
    made.run()
    assert repo.git("rev-parse", "main") == ours
    assert "diverged" in made.record("x")["reason"]
    assert "diverged" in repo.loki("status").out + repo.loki("status").err
    repo.git("pull", "-q", "--rebase")
    made.run()
    assert made.landed() == ["x"]


def test_offline_is_tolerated_and_bounded(repo: Repo, tmp_path: Path) -> None:
    made, _ = with_remote(repo, tmp_path)
    (tmp_path / "remote.git").rename(tmp_path / "unplugged.git")
    done = repo.loki("spawn", "x", "--task", "Work")
    assert done.code == 0
    assert "cannot fetch origin" in done.err
    made.run()
    assert made.landed() == ["x"]


@pytest.mark.slow
def test_a_remote_that_never_answers_costs_seconds(repo: Repo, tmp_path: Path) -> None:
    made, _ = with_remote(repo, tmp_path)
    silent = repo.write("../silent.sh", "#!/bin/sh\nexec sleep 600\n")
    silent.chmod(0o755)
    repo.git("config", "remote.origin.url", "ssh://nowhere.invalid/x")
    repo.git("config", "core.sshCommand", str(silent))
    made.open("x")
    made.once()
    (failed,) = made.events("fetch-failed")
    assert failed["detail"] == "no answer in 15 s", "given up, and not asked again at once"


@pytest.mark.parametrize("hook", [0, 1])
def test_what_landed_is_pushed_where_wanted_with_the_users_hooks(repo: Repo, tmp_path: Path, hook: int) -> None:
    made, colleague = with_remote(repo, tmp_path, "[merge]\npush = true\n")
    path = repo.write(".git/hooks/pre-push", f'#!/bin/sh\necho "$LOKI_HOOKS_DISABLE" > {tmp_path}/ran\nexit {hook}\n')
    path.chmod(0o755)
    made.streams({"x": {"x.txt": "x"}})
    made.run()
    assert made.landed() == ["x"]
    assert (tmp_path / "ran").read_text() == "1\n"
    colleague.git("pull", "-q")
    assert (colleague.path / "x.txt").exists() == (hook == 0)
    assert bool(made.events("push-failed")) == (hook == 1)


def test_it_is_not_pushed_where_nobody_wants_it(repo: Repo, tmp_path: Path) -> None:
    made, colleague = with_remote(repo, tmp_path)
    made.streams({"x": {"x.txt": "x"}})
    made.run()
    colleague.git("pull", "-q")
    assert not (colleague.path / "x.txt").exists()
    assert made.landed() == ["x"]


# What is not pushed ----------------------------------------------------------------------------------------

PUSH = "[merge]\npush = true\n"


def on_server(colleague: Repo) -> str:
    return colleague.git("ls-remote", "origin", "refs/heads/main").partition("\t")[0]


def told(made: Yard) -> str:
    done = made.repo.loki("status", "--json")
    return next((note for note in json.loads(done.out)["notes"] if "not pushed" in note), "")


def commit_on_main(repo: Repo, files: dict[str, str]) -> None:
    repo.commit("By hand", files)


def fast_forward(repo: Repo, files: dict[str, str]) -> None:
    repo.git("switch", "-q", "-c", "side")
    repo.commit("On the side", files)
    repo.git("switch", "-q", "main")
    repo.git("merge", "-q", "--ff-only", "side")


def move_the_ref(repo: Repo, files: dict[str, str]) -> None:
    repo.git("switch", "-q", "-c", "side")
    repo.commit("On the side", files)
    repo.git("update-ref", "refs/heads/main", "side")
    repo.git("switch", "-q", "main")


@pytest.mark.parametrize("way", [commit_on_main, fast_forward, move_the_ref])
def test_what_came_past_the_gate_is_pushed_only_when_it_has_passed(
    repo: Repo, tmp_path: Path, way: Callable[[Repo, dict[str, str]], None]
) -> None:
    made, colleague = with_remote(repo, tmp_path, PUSH)
    before = on_server(colleague)
    way(repo, {"bad.txt": "red\n"})
    (made.outside / "gate-wait").write_text("1")
    first = made.once()
    (push,) = [step for step in first["steps"] if step["step"] == "push"]
    assert (push["outcome"], push["detail"]) == ("waits", "it has not passed the gate yet")
    made.run()
    assert on_server(colleague) == before
    assert "the gate fails on it" in told(made)
    made.once()
    held = [event["detail"] for event in made.events("push-held")]
    assert held == ["it has not passed the gate yet", "the gate fails on it: see test-results.json"]
    repo.git("rm", "-q", "bad.txt")
    tip = repo.commit("Mend it")
    made.run()
    assert on_server(colleague) == tip, "of several commits only the last one need have passed"
    assert told(made) == ""
    assert len(made.runs()) == 2


def test_what_landed_ungated_on_a_red_branch_is_not_pushed(repo: Repo, tmp_path: Path) -> None:
    made, colleague = with_remote(repo, tmp_path, PUSH)
    before = on_server(colleague)
    repo.commit("By hand", {"bad.txt": "red\n"})
    made.streams({"x": {"x.txt": "x"}})
    assert repo.loki("finish", "x", "--merge", "--ungated").code == 0
    made.run()
    assert (on_server(colleague), made.landed()) == (before, ["x"])


def test_without_a_gate_nothing_is_pushed_and_it_says_so(repo: Repo, tmp_path: Path) -> None:
    made, colleague = with_remote(repo, tmp_path, PUSH, gate=False)
    before = on_server(colleague)
    made.streams({"x": {"x.txt": "x"}})
    assert repo.loki("finish", "x", "--merge", "--ungated").code == 0
    made.run()
    assert on_server(colleague) == before
    assert "no gate is configured" in told(made)


def test_the_server_is_quoted_where_it_refuses(repo: Repo, tmp_path: Path) -> None:
    made, _ = with_remote(repo, tmp_path, PUSH)
    hook = repo.write("../../remote.git/hooks/pre-receive", "#!/bin/sh\necho 'POLICY-42: no pushes here' >&2\nexit 1\n")
    hook.chmod(0o755)
    made.streams({"x": {"x.txt": "x"}})
    made.run()
    made.once()
    assert "POLICY-42: no pushes here" in told(made)
    assert len(made.events("push-failed")) == 1


# Somebody else pushed at the same time -----------------------------------------------------------------------


def meet(repo: Repo, tmp_path: Path, files: dict[str, str]) -> tuple[Yard, Repo]:
    """Something landed, and is not pushed when a colleague's commit with ``files`` is there already."""
    made, colleague = with_remote(repo, tmp_path, PUSH)
    hook = tmp_path / "remote.git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\n[ -e open ]\n")
    hook.chmod(0o755)
    made.streams({"x": {"x.txt": "x\n"}})
    made.run()
    assert made.landed() == ["x"]
    (tmp_path / "remote.git" / "open").touch()
    colleague.commit("Theirs", files)
    colleague.git("push", "-q")
    repo.git("fetch", "-q")
    return made, colleague


def test_both_sides_are_merged_tested_and_pushed(repo: Repo, tmp_path: Path) -> None:
    made, colleague = meet(repo, tmp_path, {"theirs.txt": "t\n"})
    runs = len(made.runs())
    made.run()
    assert on_server(colleague) == repo.git("rev-parse", "main")
    assert {"x.txt", "theirs.txt"} <= made.on_main()
    assert made.runs()[runs:] == [repo.git("rev-parse", "main^{tree}")]
    made.streams({"y": {"y.txt": "y"}})
    made.run()
    assert "y" in made.landed()


@pytest.mark.parametrize(
    ("files", "why"),
    [({"x.txt": "theirs\n"}, "conflict in x.txt"), ({"bad.txt": "red\n"}, "does not pass on the two merged")],
)
def test_what_cannot_be_merged_or_is_red_waits_for_a_person(
    repo: Repo, tmp_path: Path, files: dict[str, str], why: str
) -> None:
    made, colleague = meet(repo, tmp_path, files)
    main, theirs = repo.git("rev-parse", "main"), on_server(colleague)
    made.open("y")
    made.work("y", {"y.txt": "y"})
    made.run()
    assert (repo.git("rev-parse", "main"), on_server(colleague)) == (main, theirs)
    assert why in made.record("y")["reason"]


@pytest.mark.parametrize("where", ["here", "there"])
def test_what_one_side_took_out_does_not_come_back_from_the_other(repo: Repo, tmp_path: Path, where: str) -> None:
    made, colleague = with_remote(repo, tmp_path, PUSH)
    repo.commit("Leak", {"leaked.cfg": "TOKEN\n"})
    made.run()
    colleague.git("pull", "-q")
    changed = repo if where == "here" else colleague
    changed.git("rm", "-q", "leaked.cfg")
    changed.commit("In its place", {"instead.txt": "i\n"})
    changed.git("reset", "-q", "--soft", "HEAD~2")
    changed.git("commit", "-q", "-m", "In its place")
    if where == "there":
        colleague.git("push", "-q", "--force")
        repo.git("fetch", "-q")
        repo.commit("Go on", {"on.txt": "o\n"})
    main, theirs = repo.git("rev-parse", "main"), on_server(colleague)
    made.open("y")
    made.work("y", {"y.txt": "y"})
    made.run()
    assert (repo.git("rev-parse", "main"), on_server(colleague)) == (main, theirs)
    assert "rewritten" in made.record("y")["reason"]
