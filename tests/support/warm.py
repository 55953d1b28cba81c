"""The command line, warm: a process that has it imported, and forks one of its own for each call.

Two thirds of what a short command costs is a Python that starts and imports. A call is a process as ever, with the arguments,
environment, folder, standard streams and exit status that it would have. So is each worker that such a command or worker starts:
nobody's child, in a session of its own. The rest of the suite (hooks and the workers that they start, the demo, what races and
what is killed as it starts) runs the installed script itself.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LOADED = (
    *("cli.main", "cli.console", "cli.status_command", "cli.run_command", "cli.spawn_command"),
    *(
        "actions.reconcile.run",
        "actions.requests.spawn",
        "actions.view.status",
        "system.config.load",
        "system.config.trust",
    ),
    *(
        "workers.main",
        "workers.gate",
        "workers.session",
        "actions.sessions.runner",
        "actions.gates.run",
        "actions.gates.runners",
        "actions.sessions.prompt",
        "actions.writing.docs",
    ),
)
LIBRARIES = ("jinja2", "psutil", "pygit2")
KILLED = 128 + signal.SIGKILL
ROOM = 1024
"""Bytes for the command line that a fork shows: it stands where that of the warm process stood."""


def ask(argv: list[str], cwd: Path, env: Mapping[str, str], stdin: str | None, timeout: float) -> tuple[int, str, str]:
    """Return the exit status of ``loki-hooks argv`` and what it printed. Raises ``TimeoutExpired``."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as line:
        files = [Path(folder, name) for name in ("in", "out", "err")]
        files[0].write_text(stdin or "", encoding="utf-8")
        line.settimeout(timeout)
        line.connect(_server())
        line.sendall(_request(argv, cwd, env, files=[str(f) for f in files]))
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


def _request(argv: Sequence[str], cwd: Path | str, env: Mapping[str, str], **more: object) -> bytes:
    return json.dumps({"argv": list(argv), "cwd": str(cwd), "env": dict(env), **more}).encode() + b"\n"


_started: list[str] = []


def _server() -> str:
    """Return where the warm process of this test worker listens; it ends with the worker."""
    if not _started:
        folder = tempfile.mkdtemp(prefix="warm-")
        address = str(Path(folder, "line"))
        env = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "LOKI_"))}
        child = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).resolve()), address, " " * ROOM],
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


# In the warm process ---------------------------------------------------------------------------------------


def serve(address: str) -> None:
    line = socket.socket(socket.AF_UNIX)
    line.bind(address)
    line.listen(64)
    _start_workers_here(address)
    for name in (*(f"loki_hooks.{module}" for module in LOADED), *LIBRARIES):
        importlib.import_module(name)
    sys.modules["loki_hooks.system.config.load"].parse(b"", "")  # what reads configurations is made the first time
    gc.collect()
    gc.freeze()  # a fork that collects garbage copies none of this
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


def _start_workers_here(address: str) -> None:
    """Have what is forked from this process start its workers by asking for another fork."""
    from loki_hooks.system.files import open_log
    from loki_hooks.system.processes import start
    from loki_hooks.system.processes.detach import our_argv

    cold, ours = start.start_detached, our_argv()

    def start_detached(
        argv: Sequence[str], *, cwd: Path | str, env: Mapping[str, str], output: Path | None = None
    ) -> int:
        if list(argv[: len(ours)]) != ours:
            return cold(argv, cwd=cwd, env=env, output=output)
        umask = os.umask(0o077)
        os.umask(umask)
        with contextlib.ExitStack() as stack:
            if output is None:
                sink = os.open(os.devnull, os.O_WRONLY)
                stack.callback(os.close, sink)
            else:
                sink = stack.enter_context(open_log(output)).fileno()
            line = stack.enter_context(socket.socket(socket.AF_UNIX))
            line.connect(address)
            socket.send_fds(line, [b" "], [sink])
            line.sendall(_request(argv[len(ours) :], cwd, env, umask=umask))
            return int(line.recv(64))

    start.start_detached = start_detached


def _answer(call: socket.socket) -> None:
    """Be the command, or the worker, that is asked for; never return."""
    from loki_hooks.system.processes.detach import our_argv

    code = 70
    is_worker = False
    try:
        said, descriptors, _, _ = socket.recv_fds(call, 65536, 1)
        while not said.endswith(b"\n"):
            said += call.recv(65536)
        asked: dict[str, Any] = json.loads(said)
        is_worker = bool(descriptors)
        if is_worker:
            os.umask(asked["umask"])
            os.setsid()
            if os.fork():
                os._exit(0)  # as one whose parent has ended it is nobody's child
        call.sendall(f"{os.getpid()}\n".encode())
        os.environ.clear()
        os.environ.update(asked["env"])
        os.chdir(asked["cwd"])
        _open_standard_streams(asked.get("files") or [os.devnull, *descriptors * 2])
        if is_worker:
            call.close()
            os.closerange(3, 64)
        sys.argv = [str(Path(sys.executable).with_name("loki-hooks")), *asked["argv"]]
        _show(our_argv(*asked["argv"]) if is_worker else [sys.executable, *sys.argv])
        code = _run()
    finally:
        if not is_worker:
            with contextlib.suppress(OSError):
                call.sendall(str(code).encode())
        os._exit(code)


def _run() -> int:
    from loki_hooks.__main__ import main

    try:
        code = main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _open_standard_streams(files: Sequence[str | int]) -> None:
    for number, file in enumerate(files):
        opened = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600) if isinstance(file, str) else os.dup(file)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (open(n, "rw"[n > 0], encoding="utf-8", closefd=False) for n in range(3))  # noqa: SIM115


def _show(argv: Sequence[str]) -> None:
    """Have the process table show ``argv`` as this process's command line (proc(5); only Linux has it)."""
    if not sys.platform.startswith("linux"):
        return
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    begin, end = int(fields[45]), int(fields[46])
    text = b"\0".join(map(os.fsencode, argv)) + b"\0"
    ctypes.memmove(begin, text[: end - begin - 1].ljust(end - begin, b"\0"), end - begin)


if __name__ == "__main__":
    serve(sys.argv[1])
