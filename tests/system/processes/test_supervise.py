"""What a command started is gone when it is over, wherever it went; what is not its own is let be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from io import BytesIO
from pathlib import Path

import psutil
import pytest
from conftest import eventually

from loki_hooks.errors import LokiError
from loki_hooks.system.processes.alive import identify, is_alive, myself
from loki_hooks.system.processes.run import SESSION_MARK
from loki_hooks.system.processes.session_tree import end_runs_for, mark_of
from loki_hooks.system.processes.supervise import Ended, Output, supervise

DAEMONS = r"""
n=$1
setsid sleep "$n.1" >/dev/null 2>&1 </dev/null &
nohup sleep "$n.2" >/dev/null 2>&1 &
env -i PATH="$PATH" setsid -f sh -c "cd /; exec sleep $n.3" >/dev/null 2>&1 </dev/null
(env -i PATH="$PATH" setsid sh -c "(exec sleep $n.4 &) ; exit 0" >/dev/null 2>&1 </dev/null)
env -i PATH="$PATH" setsid -f bash -c "exec -a renamed sleep $n.5" >/dev/null 2>&1 </dev/null
"""


def left_of(number: str) -> list[int]:
    """Return the pids of sleepers that were told to sleep so long."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if words and any(word.startswith(f"{number}.") for word in words[1:2]):
            found.append(process.pid)
    return found


def number() -> str:
    return f"{os.getpid() + 100_000}{int.from_bytes(os.urandom(2), 'big')}"


def ran(argv: list[str], cwd: Path, mark: str = "", **more: object) -> tuple[Ended, Output]:
    output = Output(BytesIO(), keep=1000)
    options: dict[str, object] = {"timeout": 60, **more}
    done = supervise(argv, cwd=cwd, env=dict(os.environ), mark=mark or mark_of(myself(), "t"), output=output, **options)  # type: ignore[arg-type]
    return done, output


def test_no_daemon_outlives_its_command(tmp_path: Path) -> None:
    n = number()
    done, output = ran(["sh", "-c", f"{DAEMONS}\necho said; exit 3", "sh", n], tmp_path)
    assert (done, output.text) == (Ended(3), "said\n")
    assert left_of(n) == []


def test_how_it_ended_is_told(tmp_path: Path) -> None:
    assert ran(["sh", "-c", "kill -KILL $$"], tmp_path)[0] == Ended(-signal.SIGKILL)
    assert ran(["sh", "-c", "kill -KILL $PPID; sleep 300"], tmp_path)[0].code == -signal.SIGKILL, (
        "its keeper was killed"
    )
    done, output = ran(
        ["sh", "-c", "trap 'echo last words; exit 0' TERM; while :; do sleep 0.1; done"], tmp_path, timeout=0.5
    )
    said = output.text.splitlines()  # before that a shell may tell that its `sleep` was terminated, too
    assert (done.timed_out, said[-1:]) == (True, ["last words"])
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    done, _ = ran(["sleep", "300"], tmp_path, stop=stop)
    assert (done.timed_out, done.code) == (False, -signal.SIGTERM)
    with pytest.raises(LokiError, match="cannot start no-such-program"):
        ran(["no-such-program"], tmp_path)
    assert ran(["sh", "-c", "grep SigIgn /proc/self/status"], tmp_path)[1].text.split()[1].strip("0") == ""


def test_what_a_killed_runner_left_is_ended_and_nothing_else_that_works_there(tmp_path: Path) -> None:
    n = number()
    code = (
        "import os, sys; from io import BytesIO; from pathlib import Path\n"
        "from loki_hooks.system.processes.supervise import Output, supervise\n"
        "from loki_hooks.system.processes.session_tree import mark_of\n"
        "from loki_hooks.system.processes.alive import myself\n"
        "env = {**os.environ, 'LOKI_WORKTREE': os.getcwd()}\n"
        "supervise(sys.argv[1:], cwd=Path.cwd(), env=env, mark=mark_of(myself(), 'g'), output=Output(BytesIO()), timeout=99)\n"
    )
    script = f"{DAEMONS}\ntouch begun; exec sleep {n}.0"
    runner = subprocess.Popen([sys.executable, "-c", code, "sh", "-c", script, "sh", n], cwd=tmp_path)
    try:
        eventually((tmp_path / "begun").exists)
    finally:
        runner.kill()
        runner.wait()
    assert len(left_of(n)) >= 5
    persons = subprocess.Popen(["sleep", "300"], cwd=tmp_path, start_new_session=True)
    marked = {**os.environ, "LOKI_WORKTREE": str(tmp_path)}
    session = subprocess.Popen(["sleep", "300"], cwd=tmp_path, env={**marked, SESSION_MARK: mark_of(myself())})
    elsewhere = {"LOKI_WORKTREE": "/", SESSION_MARK: mark_of(myself(), "g")}
    other = subprocess.Popen(["sleep", "300"], cwd=tmp_path, env={**os.environ, **elsewhere})
    try:
        end_runs_for(tmp_path, none_is_on=False)
        assert left_of(n) == []
        assert not [p for p in psutil.process_iter(["cmdline"]) if f"{n}.0" in " ".join(p.info["cmdline"] or [])]
        assert all(is_alive(identify(child.pid)) for child in (persons, session, other))
    finally:
        for child in (persons, session, other):
            child.kill()
            child.wait()
