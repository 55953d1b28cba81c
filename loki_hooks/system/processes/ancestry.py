"""Who started a process, as the kernel tells it: proven ancestors, what they run, what they were started with.

Hooks use it too, so its imports are light. Elsewhere than on Linux psutil answers.
"""

from __future__ import annotations

import os

from loki_hooks.domain.work import work_of
from loki_hooks.system.processes.detach import LINUX, parent_of, start_time

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself is not light
    from loki_hooks.domain.work import Work

WORK_MARK = "LOKI_WORK"
"""In the environment of what a pass starts for itself (git, gh, tmux): never of an agent, a set-up or a gate."""
MOST = 4096
"""Nobody has so many ancestors by accident."""


def own_pid() -> int:
    """Return this process's pid as /proc has it: in a pid namespace whose /proc is its parent's, that is another number."""
    if LINUX:
        try:
            return int(os.readlink("/proc/self"))  # noqa: PTH115
        except (OSError, ValueError):
            pass
    return os.getpid()


def ancestors(pid: int) -> tuple[list[tuple[int, str]], bool]:
    """Return (pid, start time) of ``pid`` and of those above it, nearest first, and whether that is all of them.

    Each was the parent of the one before while it was looked at: a parent that ends meanwhile leaves its pid to somebody
    else, and its child to another parent, so the child is asked again afterwards.
    """
    chain: list[tuple[int, str]] = []
    while pid > 0 and len(chain) < MOST:
        started = start_time(pid)
        if started is None:
            if not chain:
                return [], False
            now = _parent(chain[-1][0])
            if now == pid:  # another user's, and hidden from us
                return chain, True
            pid = now  # it has ended since: whoever adopted the child is its parent
            continue
        if chain and _parent(chain[-1][0]) != pid:
            pid = _parent(chain[-1][0])
            continue
        chain.append((pid, started))
        pid = _parent(pid)
    return chain, pid == 0


def _parent(pid: int) -> int:
    """Return the parent's pid, 0 for none (or one in another pid namespace), -1 when the process has ended."""
    found = parent_of(pid)
    return -1 if found is None else found[0]


def started_with(pid: int) -> list[bytes]:
    """Return the environment that a process was started with, as ``NAME=value``; nothing where we may not know it."""
    if LINUX:
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123  pathlib is not light
                return file.read().split(b"\0")
        except OSError:
            return []
    import psutil

    try:
        return [
            f"{key}={value}".encode("utf-8", "surrogateescape") for key, value in psutil.Process(pid).environ().items()
        ]
    except (psutil.Error, OSError):
        return []


def variable(environment: list[bytes], name: str) -> str:
    """Return a variable's value in such an environment, '' when it is not there."""
    start = f"{name}=".encode()
    return next((e[len(start) :].decode("utf-8", "surrogateescape") for e in environment if e.startswith(start)), "")


def words_of(pid: int) -> list[str]:
    """Return the argument vector that a process shows; nothing where we may not know it."""
    if LINUX:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
                shown = file.read().rstrip(b"\0")  # a program that shows a shorter text leaves the rest empty
                return shown.decode("utf-8", "surrogateescape").split("\0") if shown else []
        except OSError:
            return []
    import psutil

    try:
        return list(psutil.Process(pid).cmdline())
    except (psutil.Error, OSError):
        return []


def worker_of(pid: int) -> Work | None:
    """Return what the process does as a worker of ours, or None when it is none, or we may not know it."""
    return work_of(words_of(pid))


def terminal_of(pid: int) -> str:
    """Return the controlling terminal of a process, '' for none."""
    if LINUX:
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
                text = file.read()
        except OSError:
            return ""
        number = text[text.rindex(")") + 2 :].split()[4]
        return "" if number == "0" else number
    import psutil

    try:
        return str(psutil.Process(pid).terminal() or "")
    except (psutil.Error, OSError):
        return ""


def marked_by(environment: list[bytes], root: str) -> str:
    """Return the stream of the repository at ``root`` whose session, set-up or gate the environment was made for."""
    return variable(environment, "LOKI_STREAM") if variable(environment, "LOKI_MAIN") == root else ""


def below_a_session(root: str) -> bool:
    """Return whether an agent, a set-up or a gate of the repository at ``root`` started us, by what processes show.

    The quick half of `asker.who_asks`, without the state: for hooks.
    """
    for pid, _ in ancestors(own_pid())[0]:
        work = worker_of(pid)
        if work is not None and work.names(root):
            return True
        environment = started_with(pid)
        if marked_by(environment, root):
            return True
        if work is not None or variable(environment, WORK_MARK):
            return False
    return False


def adopt_orphans(wanted: bool) -> None:
    """Become, or cease to be, the parent of every process below us whose own parent ends (prctl(2); Linux only)."""
    if not LINUX:
        return
    import ctypes

    try:
        ctypes.CDLL(None).prctl(36, int(wanted), 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    except (OSError, AttributeError):  # another C library: orphans are told by their marks alone
        return


def reap_adopted(but: int) -> None:
    """Let children that have ended go, up to the child ``but``, whose exit status somebody waits for."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid == but:
            return
        try:
            os.waitpid(ended.si_pid, os.WNOHANG)
        except ChildProcessError:
            return
