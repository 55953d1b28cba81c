"""The command line, warm: a process that has it imported, and forks one of its own for each call.

Two thirds of what a short command costs is a Python that starts and imports. A call is a process as ever, with the arguments,
environment, folder, standard streams and exit status that it would have; the rest of the suite (hooks, workers, the demo, what
races and what is killed) starts the installed script itself.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

LOADED = (
    *("cli.main", "cli.console", "cli.status_command", "cli.run_command", "cli.spawn_command"),
    *("actions.reconcile", "actions.spawn", "actions.status", "system.config_schema", "system.trust"),
)
KILLED = 128 + signal.SIGKILL


def ask(argv: list[str], cwd: Path, env: Mapping[str, str], stdin: str | None, timeout: float) -> tuple[int, str, str]:
    """Return the exit status of ``loki-hooks argv`` and what it printed. Raises ``TimeoutExpired``."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as line:
        files = [Path(folder, name) for name in ("in", "out", "err")]
        files[0].write_text(stdin or "", encoding="utf-8")
        line.settimeout(timeout)
        line.connect(_server())
        line.sendall(json.dumps([argv, str(cwd), dict(env), [str(f) for f in files]]).encode() + b"\n")
        pid, said = b"", b""
        try:
            while chunk := line.recv(64):
                said += chunk
        except TimeoutError:
            pid = said.partition(b"\n")[0]
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
            raise subprocess.TimeoutExpired(argv, timeout) from None
        code = said.partition(b"\n")[2]
        out, err = (f.read_text(encoding="utf-8") for f in files[1:])
        return int(code) if code else KILLED, out, err


_started: list[str] = []


def _server() -> str:
    """Return where the warm process of this test worker listens; it ends with the worker."""
    if not _started:
        folder = tempfile.mkdtemp(prefix="warm-")
        address = str(Path(folder, "line"))
        env = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "LOKI_"))}
        child = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).resolve()), address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            env=env,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        _started.append(address)

        def end() -> None:
            child.communicate()  # its end of our pipe tells it
            Path(address).unlink(missing_ok=True)
            Path(folder).rmdir()

        atexit.register(end)
    return _started[0]


def serve(address: str) -> None:
    for name in LOADED:
        importlib.import_module(f"loki_hooks.{name}")
    line = socket.socket(socket.AF_UNIX)
    line.bind(address)
    line.listen(64)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    while True:
        ready, _, _ = select.select([line.fileno(), 0], [], [], 1)
        if 0 in ready:
            return
        if line.fileno() in ready:
            call, _ = line.accept()
            if os.fork() == 0:
                line.close()
                _answer(call)
            call.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _answer(call: socket.socket) -> None:
    """Be the command that is asked for; never return."""
    code = 70
    try:
        call.sendall(f"{os.getpid()}\n".encode())
        with call.makefile("r", encoding="utf-8") as reader:
            argv, cwd, env, files = json.loads(reader.readline())
        os.environ.clear()
        os.environ.update(env)
        os.chdir(cwd)
        for number, path in enumerate(files):
            opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(opened, number)
            os.close(opened)
        sys.stdin, sys.stdout, sys.stderr = (open(n, "rw"[n > 0], encoding="utf-8", closefd=False) for n in range(3))  # noqa: SIM115
        sys.argv = [str(Path(sys.executable).with_name("loki-hooks")), *argv]
        from loki_hooks.__main__ import main

        try:
            code = main()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        with contextlib.suppress(OSError):
            call.sendall(str(code).encode())
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
