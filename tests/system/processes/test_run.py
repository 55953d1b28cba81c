"""Processes: a group is ended, and what has ended is not waited for."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from pathlib import Path

import psutil
import pytest
from conftest import eventually

from loki_hooks.errors import InterruptedRunError, LokiError
from loki_hooks.system.processes.alive import identify, is_alive, kill_group, wait_until_gone
from loki_hooks.system.processes.run import run, stopped_by
from loki_hooks.system.processes.start import start_detached, start_waiting


def test_a_group_is_killed_whole(tmp_path: Path) -> None:
    stubborn = ["sh", "-c", "trap '' TERM; sleep 300 & echo $!; wait; wait"]
    child = subprocess.Popen(stubborn, cwd=tmp_path, stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdout is not None
    inner = identify(int(child.stdout.readline()))
    assert is_alive(inner)
    kill_group(child.pid)
    child.communicate()
    assert child.returncode < 0
    assert inner is not None
    assert wait_until_gone([inner], 10)


def test_what_waits_begins_when_told_with_nothing_changed_by_the_waiting(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "MINE": "1", "LANG": "C"}
    script = 'grep SigIgn /proc/self/status; env | grep -v ^_; pwd; printf "%s" "$1" | od -An -tx1'
    waiting = start_waiting(["sh", "-c", script, "sh", "\udcff\xe9"], cwd=tmp_path, env=env)
    pid = waiting.child.pid
    assert os.getpgid(pid) == pid
    waiting.go()
    out, _ = waiting.child.communicate()
    (ignored,) = [line.split()[1] for line in out.decode().splitlines() if line.startswith("SigIgn")]
    ours = {number for number in signal.Signals if signal.getsignal(number) is signal.SIG_IGN}  # nohup(1), for one
    wanted = sum(1 << number - 1 for number in ours - {signal.SIGPIPE, signal.SIGXFSZ})
    assert int(ignored, 16) == wanted, "Python ignores SIGPIPE: what it starts must not"
    said = set(out.decode().splitlines()) - {f"SigIgn:\t{ignored}", f"PWD={tmp_path}", "OLDPWD=", "SHLVL=0", "SHLVL=1"}
    assert said == {*(f"{name}={value}" for name, value in env.items()), str(tmp_path), " ff c3 a9"}


def test_what_waits_and_is_never_told_does_nothing_and_what_cannot_be_started_says_so(tmp_path: Path) -> None:
    env = dict(os.environ)
    waiting = start_waiting(["touch", "begun"], cwd=tmp_path, env=env)
    waiting.line.close()
    assert waiting.child.wait(20) != 0
    assert waiting.child.stdout is not None
    assert waiting.child.stdout.read() == b""
    waiting.child.stdout.close()
    assert not (tmp_path / "begun").exists()
    (tmp_path / "plain").write_text("no program")
    for word, why in (("./plain", "Permission denied"), ("no-such-program", "No such file")):
        waiting = start_waiting([word], cwd=tmp_path, env=env)
        with pytest.raises(LokiError, match=f"cannot start {word}: {why}"):
            waiting.go()
        waiting.child.communicate()


def test_who_lives_long_collects_no_dead_children(tmp_path: Path) -> None:
    pids = []
    for _ in range(3):
        pids.append(start_detached(["true"], cwd=tmp_path, env=dict(os.environ)))
        os.waitid(os.P_PID, pids[-1], os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has waited for it
    assert psutil.Process(pids[-1]).status() == psutil.STATUS_ZOMBIE
    assert not any(psutil.pid_exists(pid) for pid in pids[:-1])


def test_what_waits_for_others_ends_when_it_is_told_to_stop(tmp_path: Path) -> None:
    stop = threading.Event()
    script = f"trap 'echo taken back > {tmp_path}/told; exit 1' TERM; touch {tmp_path}/ready; sleep 60 & wait"

    def tell() -> None:
        eventually((tmp_path / "ready").exists)
        stop.set()

    threading.Thread(target=tell, daemon=True).start()
    with stopped_by(stop), pytest.raises(InterruptedRunError):
        run(["sh", "-c", script], cwd=tmp_path, stoppable=True)
    assert (tmp_path / "told").read_text() == "taken back\n"
    with stopped_by(stop):
        assert run(["echo", "x"], cwd=tmp_path).text == "x\n", "what does not wait for others goes on"
    assert run(["echo", "x"], cwd=tmp_path, stoppable=True).text == "x\n"
