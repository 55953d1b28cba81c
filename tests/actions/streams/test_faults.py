"""What fails costs its own stream only, whatever it is: passes go on, it is told once, and a person gets it in the end."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Repo, eventually
from support.scripted import Yard, yard

from loki_hooks.actions.reconcile import run
from loki_hooks.actions.streams.faults import contained, fail, put_off, worked
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import Status
from loki_hooks.system.trees import remove_tree

OTHERS = tuple(f"s{number}" for number in range(7))


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def due(made: Yard, name: str) -> None:
    """Have what failed of the stream be tried again at once."""

    def change(state: State) -> State:
        record = state.streams[f"feature-{name}"]
        past = {what: replace(f, not_before="2020-01-01T00:00:00Z") for what, f in record.failures.items()}
        return state.with_stream(replace(record, failures=past))

    made.context().store.update(change)


def test_seven_land_beside_one_that_cannot_be_looked_at_and_one_whose_step_raises(repo: Repo) -> None:
    made = yard(repo)
    made.open("odd", "far", *OTHERS)
    repo.commit("Odd", {"odd.txt": "odd\n"}, cwd=made.tree_of("odd"))
    repo.git("merge", "-q", "--no-ff", "-m", "By hand", "feature/odd")
    block = Path(repo.path / ".git" / "loki" / "environments" / "feature-odd.json")
    block.unlink(missing_ok=True)
    block.mkdir(parents=True)  # a folder where a file is to be removed: IsADirectoryError, not one of ours
    far = made.context().require_stream("far")
    too_long = replace(far, path=f"/tmp/{'x' * 300}")
    made.context().store.update(lambda state: state.with_stream(too_long))
    for name in OTHERS:
        made.work(name, {f"{name}.txt": f"{name}\n"})
    assert repo.loki("run", "--once").code == 0
    for name in OTHERS:
        made.wait_for(name, "archived", timeout=120)
    assert sorted(made.landed()) == sorted(OTHERS)
    assert made.status("odd") == "merged"
    assert "clean failed" in made.record("odd")["reason"]
    assert made.record("odd")["failures"]["clean"]["times"] == 1  # many passes, one try
    assert (made.status("far"), made.tree_of("far").is_dir()) == ("open", True)
    assert "left alone" in made.record("far")["reason"]
    assert len(made.events("look-failed")) == 1
    log = (made.loki_dir / "logs" / "hooks.log").read_text()
    assert log.count("IsADirectoryError") >= 1
    assert log.count("look at feature-far") == 1
    shown = repo.loki("status")
    assert shown.code == 0, shown.err
    assert "far" in shown.out
    block.rmdir()
    made.context().store.update(lambda state: state.with_stream(replace(state.streams["feature-far"], path=far.path)))
    due(made, "odd")
    made.once()
    assert (made.status("odd"), made.status("far")) == ("archived", "open")
    assert (made.record("far")["failures"], made.record("far")["reason"]) == ({}, "")
    made.quiet()


def test_after_three_failures_it_is_a_persons_and_who_takes_it_up_begins_afresh(repo: Repo) -> None:
    context = yard(repo, gate=False).context()
    x = StreamRecord("feature", "x", Status.QUEUED, "/nowhere", "feature/x")
    context.store.update(lambda state: state.with_stream(x))
    waits = [fail(context, x.stream, "start", "No space left on device") for _ in range(2)]
    record = context.require_stream("x")
    assert (waits, record.status) == ([10.0, 60.0], Status.QUEUED)
    assert put_off(record) == {"start"}
    assert "No space left" in record.reason
    fail(context, x.stream, "start", "No space left on device")
    record = context.require_stream("x")
    assert record.status is Status.ESCALATED
    assert "3 times" in record.reason
    assert record.moved(Status.QUEUED).failures == {}
    merged = replace(x, status=Status.MERGED, name="y")
    context.store.update(lambda state: state.with_stream(merged))
    for _ in range(4):
        fail(context, merged.stream, "clean", "it is busy")
    assert context.require_stream("y").status is Status.MERGED  # what landed stays landed
    worked(context, merged.stream, "clean")
    assert context.require_stream("y").failures == {}


def test_a_wrong_clock_puts_nothing_off_for_ever(repo: Repo) -> None:
    context = yard(repo, gate=False).context()
    x = StreamRecord("feature", "x", Status.QUEUED, "/nowhere", "feature/x")
    context.store.update(lambda state: state.with_stream(x))
    fail(context, x.stream, "start", "why")
    record = context.require_stream("x")
    ahead = replace(record.failures["start"], not_before="2099-01-01T00:00:00Z")
    assert put_off(replace(record, failures={"start": ahead})) == frozenset()


def test_a_chore_that_fails_is_told_once_and_forgotten_when_it_works(repo: Repo) -> None:
    made = yard(repo, gate=False)
    made.once()
    context = made.context()

    def broken() -> str:
        return os.environ["THERE_IS_NO_SUCH_NAME"]

    assert [contained(context, "chore", broken) for _ in range(3)] == [None, None, None]
    assert [e["detail"] for e in made.events("chore-failed")] == ["KeyError: 'THERE_IS_NO_SUCH_NAME'"]
    assert "chore failed" in repo.loki("status").err + repo.loki("status").out
    assert contained(context, "chore", lambda: "done") == "done"
    assert made.context().require_stream("main").failures == {}


def test_a_very_deep_ignored_folder_keeps_its_worktree_and_holds_nobody_up(repo: Repo) -> None:
    made = yard(repo)
    made.open("deep")
    repo.commit("Ignore", {".gitignore": "*.ignored\n"}, cwd=made.tree_of("deep"))
    here = Path.cwd()
    try:
        top = made.tree_of("deep") / "deep.ignored"
        top.mkdir()
        os.chdir(top)
        for _ in range(1300):
            os.mkdir("dd")  # noqa: PTH102  relative, as no path reaches that deep
            os.chdir("dd")
        Path("f.txt").write_text("mine\n")
    finally:
        os.chdir(here)
    made.ready("deep")
    assert repo.loki("run", "--once").code == 0
    made.wait_for("deep", "merged", timeout=120)
    eventually(lambda: "deep.ignored" in made.record("deep")["reason"])
    assert top.is_dir()
    assert not (made.loki_dir / "logs" / "hooks.log").exists()
    made.quiet()
    assert remove_tree(top)


def test_a_fifo_where_a_worktree_had_its_git_holds_nobody_up(repo: Repo) -> None:
    made = yard(repo)
    made.open("odd", "ok")
    dot = made.tree_of("odd") / ".git"
    dot.unlink()
    os.mkfifo(dot)
    made.work("ok", {"ok.txt": "ok\n"})
    assert repo.loki("run", "--once", timeout=60).code == 0
    made.wait_for("ok", "archived", timeout=60)
    assert made.status("odd") == "open"
    shown = repo.loki("status", timeout=60)
    assert "leads to no repository" in shown.out
    assert repo.loki("doctor", timeout=60).code == 1
    assert made.events("look-failed") == []


def test_a_pass_that_comes_to_no_end_says_so(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    made = yard(repo, gate=False)
    repo.commit("More", {"more.txt": "more\n"})
    monkeypatch.setattr(run, "ROUNDS", 1)
    said: list[str] = []
    run.reconcile(made.context().site, say=said.append)
    assert any("not at its end" in line for line in said), said
    assert len(made.events("pass-unfinished")) == 1
