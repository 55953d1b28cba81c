"""`loki-hooks lock`: one at a time, over all worktrees; who waits is told for whom; the command is as if typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import SCRIPTS, Repo, eventually
from support.scripted import turn_on

LOKI = str(SCRIPTS / "loki-hooks")


@pytest.fixture
def on(repo: Repo) -> Repo:
    turn_on(repo)
    return repo


def start(repo: Repo, *words: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [LOKI, "lock", *words],
        cwd=cwd or repo.path,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def holder(repo: Repo, name: str) -> dict[str, object]:
    path = repo.path / ".loki" / "state" / "locks" / f"{name}.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def held(repo: Repo, name: str) -> None:
    eventually(lambda: holder(repo, name).get("command"), 20)


def test_the_command_is_as_if_typed(on: Repo) -> None:
    done = on.loki("lock", "db", "--", "sh", "-c", "cat; echo two >&2; pwd; exit 7", stdin="one")
    assert (done.code, done.err) == (7, "two\n")
    assert done.out == f"one{on.path}\n"
    assert on.loki("lock", "db", "--", "sh", "-c", "kill -TERM $$").code == 128 + 15
    assert on.loki("lock", "--timeout", "3", "db", "--", "printf", "%s", "-x", "--timeout").out == "-x--timeout"
    assert holder(on, "db") == {}


def test_one_at_a_time_over_all_worktrees(on: Repo, tmp_path: Path) -> None:
    on.git("worktree", "add", "-q", "../other")
    log = tmp_path / "log"
    script = f"echo in >> {log}; sleep 0.1; echo out >> {log}"
    places = [on.path, on.path.parent / "other"]
    children = [start(on, "db", "--", "sh", "-c", script, cwd=places[n % 2]) for n in range(8)]
    assert [child.wait(60) for child in children] == [0] * 8
    for child in children:
        child.communicate()
    assert log.read_text().split() == ["in", "out"] * 8


def test_two_names_do_not_wait_for_each_other(on: Repo) -> None:
    first = start(on, "db", "--", "sleep", "30")
    held(on, "db")
    assert on.loki("lock", "gpu", "--timeout", "0", "--", "true").code == 0
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 128 + 15
    first.communicate()


def test_who_waits_is_told_for_whom_and_gives_up_in_time(on: Repo) -> None:
    first = start(on, "db", "--", "sleep", "30")
    held(on, "db")
    began = time.monotonic()
    done = on.loki("lock", "db", "--timeout", "0.5", "--", "touch", "ran")
    assert done.code == 1
    assert f"waiting for the lock db, held by process {first.pid} ('sleep 30') in {on.path}" in done.err
    assert "--timeout" in done.err
    assert time.monotonic() - began < 20
    assert not (on.path / "ran").exists()
    assert on.loki("lock", "db", "--timeout", "0", "--", "true").code == 1
    first.send_signal(signal.SIGINT)
    assert first.wait(20) == 130
    first.communicate()
    assert on.loki("lock", "db", "--timeout", "5", "--", "true").code == 0


def test_interrupted_the_command_ends_before_the_lock_goes(on: Repo, tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = (
        "import signal, sys, time\n"
        f"def end(*_):\n    time.sleep(0.5); open({str(log)!r}, 'w').write('tidied'); sys.exit(0)\n"
        "signal.signal(signal.SIGINT, end)\nprint('up', flush=True)\ntime.sleep(60)\n"
    )
    first = start(on, "db", "--", sys.executable, "-c", code)
    assert first.stdout is not None
    first.stdout.readline()
    os.kill(first.pid, signal.SIGINT)
    assert on.loki("lock", "db", "--timeout", "20", "--", "cat", str(log)).out == "tidied"
    assert first.wait(20) == 130
    first.communicate()


def test_a_killed_owner_holds_only_as_long_as_its_command_runs(on: Repo, tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = start(on, "db", "--", "sh", "-c", f"echo up; sleep 1; echo done > {log}")
    assert first.stdout is not None
    first.stdout.readline()
    held(on, "db")
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert on.loki("lock", "db", "--timeout", "0.2", "--", "true").code == 1, "its command still works on it"
    assert on.loki("lock", "db", "--timeout", "20", "--", "cat", str(log)).out == "done\n"
    first.communicate()


@pytest.mark.parametrize("name", ["", "../x", "a/b", "-rf", ".x", "x;y", "x y", "é", "n" * 300, "x.lock", "a\nb"])
def test_names_that_are_none(on: Repo, name: str) -> None:
    done = on.loki("lock", "--", name, "true") if name.startswith("-") else on.loki("lock", name, "--", "true")
    assert done.code == 2, done
    assert "Traceback" not in done.err
    assert not list((on.path / ".loki").rglob("*x*.json"))


def test_wrong_usage(on: Repo, repo: Repo) -> None:
    assert on.loki("lock", "db").code == 2
    assert on.loki("lock", "db", "--timeout", "-1", "--", "true").code == 2
    assert on.loki("lock", "db", "--timeout", "soon", "--", "true").code == 2
    done = on.loki("lock", "db", "--", "no-such-program")
    assert done.code == 1
    assert "cannot start no-such-program" in done.err
    assert holder(on, "db") == {}


@pytest.mark.parametrize("what", ["folder", "link", "text"])
def test_what_stands_in_the_way(on: Repo, tmp_path: Path, what: str) -> None:
    place = on.path / ".loki" / "state" / "locks"
    on.loki("lock", "db", "--", "true")
    if what == "folder":
        (place / "db.json").mkdir()
    elif what == "link":
        (tmp_path / "target").write_text("mine")
        (place / "db.json").symlink_to(tmp_path / "target")
    else:
        (place / "db.json").write_text("{")
    done = on.loki("lock", "db", "--timeout", "5", "--", "echo", "ran")
    if what == "folder":
        assert done.code == 1
        assert "cannot write" in done.err
    else:
        assert (done.code, done.out) == (0, "ran\n")
    if what == "link":
        assert (tmp_path / "target").read_text() == "mine"
