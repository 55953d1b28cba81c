"""Between the wish for a session and its runner: whoever is killed there, or stopped, nothing is dropped or started twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
from conftest import SCRIPTS, Repo, eventually
from support.scripted import Yard, yard

from loki_hooks.domain.streams.record import ProcessId
from loki_hooks.domain.streams.status import Status
from loki_hooks.system.locks import hold
from loki_hooks.system.processes.alive import identify, is_alive, myself
from loki_hooks.system.worktrees.registry import LOCK_PATIENCE, lock, unlock

STARTER = """
import os, signal, sys
from pathlib import Path
from loki_hooks.actions.sessions import steps
from loki_hooks.actions.reconcile.run import reconcile
from loki_hooks.system.site import discover

start = steps.start_detached

def killed(argv, **how):
    if "session" in argv:
        if sys.argv[2] == "after":
            start(argv, **how)
        os.kill(os.getpid(), signal.SIGKILL)
    return start(argv, **how)

steps.start_detached = killed
reconcile(discover(Path(sys.argv[1])))
"""
"""A pass that is killed between its claim on a queued stream and the runner, or the runner's taking over."""


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


@pytest.mark.parametrize("when", ["before", "after"])
def test_who_was_to_start_a_queued_session_is_killed(repo: Repo, when: str) -> None:
    made = yard(repo, cap=1, gate=False)
    made.agent("a", "sleep 300\n")
    work = f"echo $1 >> '{made.outside}/begun'; sleep 0.3; echo x > $1.txt; git add $1.txt; git commit -q -m Work\n"
    made.agent("default", work)
    made.spawn("a")
    made.wait_for("a", "running")
    made.spawn("b", "c")
    os.kill(int(made.record("a")["session"]["pid"]), signal.SIGKILL)
    done = subprocess.run([sys.executable, "-c", STARTER, str(repo.path), when], cwd=repo.path, timeout=60)
    assert done.returncode == -signal.SIGKILL
    if when == "before":
        assert (made.status("b"), made.status("c")) == ("queued", "queued")
        assert made.record("b")["claim_token"]
        assert not is_alive(ProcessId.from_json(made.record("b")["claim"]))
    once = [str(SCRIPTS / "loki-hooks"), "run", "--once"]
    passes = [
        subprocess.Popen(once, cwd=repo.path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for _ in "123"
    ]
    assert [child.wait(60) for child in passes] == [0, 0, 0]
    for name in "bc":
        made.wait_for(name, "ready", timeout=60)
    made.quiet()
    assert (made.outside / "begun").read_text().split() == ["b", "c"]
    assert [e["stream"][-1] for e in made.events("session-started")] == ["a", "b", "c"]
    assert made.status("a") == "failed"


def being_made(made: Yard, name: str) -> subprocess.Popen[str]:
    """Return a spawn that waits in the middle of making the stream; call with the lock on worktrees held."""
    child = subprocess.Popen(
        [SCRIPTS / "loki-hooks", "spawn", "--json", "--task", "Work", name],
        cwd=made.path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    eventually(lambda: made.loki_dir.exists() and made.status(name) == "planned")
    return child


def test_stop_of_a_stream_that_is_being_made_calls_its_session_off_and_kills_nobody(repo: Repo) -> None:
    made = yard(repo, gate=False)
    made.once()
    lock = repo.path / ".git" / "loki" / "worktrees.lock"
    with hold(lock):
        spawning = being_made(made, "x")
        stopping = subprocess.Popen(
            [SCRIPTS / "loki-hooks", "stop", "x"], cwd=repo.path, text=True, stderr=subprocess.PIPE
        )
        eventually(lambda: made.record("x").get("launch") is False)
        assert spawning.poll() is None
    out, _ = spawning.communicate(timeout=60)
    _, said = stopping.communicate(timeout=60)
    assert (spawning.returncode, stopping.returncode) == (0, 0)
    assert '"status": "open"' in out
    assert "feature-x is open" in said
    with hold(lock):
        spawning = being_made(made, "y")
        spawning.kill()
        spawning.communicate()
    done = repo.loki("stop", "y")
    assert done.code == 0, done.err
    assert (made.status("y"), made.tree_of("y").is_dir()) == ("open", True)
    made.run()
    assert made.events("session-started") == []
    made.quiet()


def test_what_is_no_runner_of_ours_is_not_signalled_whatever_the_state_says(repo: Repo) -> None:
    made = yard(repo, gate=False)
    made.open("x")
    stranger = subprocess.Popen(["sleep", "300"])
    who = identify(stranger.pid)
    assert who is not None
    try:
        store = made.context().store
        damaged = replace(made.context().require_stream("x"), status=Status.RUNNING, session=who)
        store.update(lambda state: state.with_stream(damaged))
        done = repo.loki("stop", "x")
        assert done.code == 0, done.err
        assert made.status("x") == "stopped"
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_session_waits_for_the_lock_of_the_one_before_and_for_nobody_elses(repo: Repo) -> None:
    made = yard(repo, gate=False)
    made.open("x")
    site, path = made.context().site, made.tree_of("x")
    before = subprocess.Popen(["sleep", "300"])
    owner = identify(before.pid)
    assert owner is not None
    locked = repo.path / ".git" / "worktrees" / path.name / "locked"
    try:
        lock(site, path, "feature-x", owner)
        leaving = threading.Timer(0.3, unlock, (site, path, owner))
        leaving.start()
        lock(site, path, "feature-x", myself())
        leaving.join()
        assert f"pid {os.getpid()}," in locked.read_text()
        unlock(site, path, myself())
        repo.git("worktree", "lock", "--reason", "mine", str(path))
        began = time.monotonic()
        lock(site, path, "feature-x", myself())
        assert time.monotonic() - began < LOCK_PATIENCE
        assert locked.read_text().strip() == "mine"
    finally:
        before.kill()
        before.wait()
