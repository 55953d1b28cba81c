"""`loki-hooks signal`, as people and agents use it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from conftest import SCRIPTS, Repo

from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import Status
from loki_hooks.system.site import discover
from loki_hooks.system.store.state import StateStore


@pytest.fixture
def on(repo: Repo) -> Repo:
    """The repository with loki on, but without hooks: nothing else acts on its signals."""
    discover(repo.path).enable("test")
    return repo


def body(repo: Repo, name: str) -> dict[str, object]:
    value = json.loads((repo.signals / name).read_text())
    assert isinstance(value, dict)
    return value


def add_stream(repo: Repo, name: str) -> Path:
    path = repo.path.parent / f"project-feature-{name}"
    repo.git("worktree", "add", "-q", str(path), "-b", f"feature/{name}")
    record = StreamRecord("feature", name, Status.KEPT, path=str(path), branch=f"feature/{name}")
    StateStore(discover(repo.path)).update(lambda s: s.with_stream(record))
    return path


def test_a_signal_says_where_it_comes_from(on: Repo) -> None:
    done = on.loki("signal", "emit", "TESTS_FAILED_auth")
    assert (done.code, done.out) == (0, "")
    said = body(on, "TESTS_FAILED_auth")
    assert {key: said[key] for key in ("stream", "branch", "worktree", "commit", "tree")} == {
        "stream": "",
        "branch": "main",
        "worktree": str(on.path),
        "commit": on.git("rev-parse", "HEAD"),
        "tree": on.git("rev-parse", "HEAD^{tree}"),
    }
    assert str(said["timestamp"]).endswith("Z")
    assert not [p for p in on.signals.iterdir() if p.name.startswith(".")]


def test_from_a_linked_worktree_it_goes_to_the_repositorys_signals(on: Repo) -> None:
    path = add_stream(on, "auth")
    tip = on.commit("Work", {"x.py": "1\n"}, cwd=path)
    assert on.loki("signal", "emit", "TESTS_FAILED_auth", cwd=path).code == 0
    assert not (path / ".loki").exists()
    said = body(on, "TESTS_FAILED_auth")
    assert (said["stream"], said["branch"], said["worktree"], said["commit"]) == (
        "feature-auth",
        "feature/auth",
        str(path),
        tip,
    )


def test_from_elsewhere_it_speaks_of_the_stream_that_it_names(on: Repo) -> None:
    path = add_stream(on, "ui/menu")
    tip = on.commit("Work", {"x.py": "1\n"}, cwd=path)
    assert on.loki("signal", "emit", "TESTS_FAILED_ui/menu").code == 0
    said = body(on, "TESTS_FAILED_ui-menu")
    assert (said["stream"], said["worktree"], said["commit"]) == ("feature-ui-menu", str(path), tip)


def test_in_a_repository_without_commits_what_is_not_known_is_empty(tmp_path: Path) -> None:
    new = Repo(tmp_path / "new")
    new.path.mkdir()
    new.git("init", "-q")
    discover(new.path).enable("test")
    assert new.loki("signal", "emit", "TESTS_FAILED_x").code == 0
    assert (body(new, "TESTS_FAILED_x")["commit"], body(new, "TESTS_FAILED_x")["branch"]) == ("", "main")


def test_a_merge_request_is_not_to_be_had_by_hand(on: Repo) -> None:
    done = on.loki("signal", "emit", "MERGE_REQUESTED_feature-auth")
    assert done.code == 1
    assert "written only when a stream may land" in done.err
    assert list(on.signals.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "FEATURE_READY_../../x",
        "../x",
        "FEATURE_READY_",
        "NOPE",
        "",
        "FEATURE_READY_x\n",
        "FEATURE_READY_" + "x" * 300,
        "TESTS_PASED_x",
    ],
)
def test_what_is_no_signal_is_refused_and_nothing_written(on: Repo, name: str) -> None:
    for verb in ("emit", "clear", "wait"):
        done = on.loki("signal", verb, name)
        assert done.code == 2
        assert "is not a signal" in done.err
    assert list(on.signals.iterdir()) == []


def test_list_shows_ours_and_touched_ones_and_leaves_the_rest_alone(on: Repo) -> None:
    assert on.loki("signal", "list", "--json").out == "[]\n"
    on.loki("signal", "emit", "TESTS_FAILED_auth")
    (on.signals / "WORKTREE_FAILED_x").touch()
    (on.signals / "TESTS_FAILED_auth.ack").touch()
    (on.signals / "unknown").touch()
    (on.signals / "TESTS_FAILED_dir").mkdir()
    (on.signals / "TESTS_FAILED_link").symlink_to(on.path / "app.py")
    listed = json.loads(on.loki("signal", "list", "--json").out)
    assert [(s["signal"], s["kind"], s["subject"]) for s in listed] == [
        ("TESTS_FAILED_auth", "TESTS_FAILED", "auth"),
        ("WORKTREE_FAILED_x", "WORKTREE_FAILED", "x"),
    ]
    assert listed[0]["commit"] == on.git("rev-parse", "HEAD")
    lines = on.loki("signal", "list").out.splitlines()
    assert [line.split()[0] for line in lines] == ["signal", "TESTS_FAILED_auth", "WORKTREE_FAILED_x"]
    assert (on.signals / "unknown").exists()


def test_clear_says_whether_it_was_there(on: Repo) -> None:
    (on.signals / "TESTS_FAILED_x").touch()
    assert on.loki("signal", "clear", "TESTS_FAILED_x").code == 0
    assert on.loki("signal", "clear", "TESTS_FAILED_x").code == 1
    (on.signals / "TESTS_FAILED_dir").mkdir()
    assert on.loki("signal", "clear", "TESTS_FAILED_dir").code == 1
    assert (on.signals / "TESTS_FAILED_dir").is_dir()


def test_wait_ends_when_the_signal_comes(on: Repo) -> None:
    waiting = subprocess.Popen(
        [str(SCRIPTS / "loki-hooks"), "signal", "wait", "TESTS_PASSED_x", "--timeout", "30", "--json"],
        cwd=on.path,
        stdout=subprocess.PIPE,
        text=True,
    )
    (on.signals / ".tmp").write_text('{"commit": "c1"}')
    (on.signals / ".tmp").rename(on.signals / "TESTS_PASSED_x")
    out, _ = waiting.communicate(timeout=30)
    assert (waiting.returncode, json.loads(out)) == (0, {"commit": "c1"})
    assert (on.signals / "TESTS_PASSED_x").exists(), "waiting consumes nothing"


def test_wait_gives_up_when_the_time_is_up(on: Repo) -> None:
    done = on.loki("signal", "wait", "TESTS_PASSED_x", "--timeout", "0.1")
    assert (done.code, done.out) == (1, "")
    assert "did not come within 0.1 s" in done.err
    (on.signals / "TESTS_PASSED_x").touch()
    assert on.loki("signal", "wait", "TESTS_PASSED_x", "--timeout", "0").code == 0
