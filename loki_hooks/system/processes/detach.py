"""Start a process that git and its hook frameworks do not wait for, with os-level imports only.

A git hook pays for every import (README, "What a hook costs"), so this is apart from `processes`, which
builds on it. Also here, for the same reason: what a process is (its start time) and who its ancestors are.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself is not light
    from loki_hooks.domain.work import Work

LINUX = sys.platform.startswith("linux")


def _stat(pid: int) -> tuple[str, list[str]] | None:
    """Return (program name, the fields after it) of proc(5)'s ``stat``, or None."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return None
    end = text.rindex(")")
    return text[text.index("(") + 1 : end], text[end + 2 :].split()


def start_time(pid: int) -> str | None:
    """Return an opaque text that tells this process from every other with the pid, or None when there is none.

    Linux: ticks since boot, with the boot's id; elsewhere the creation time. A zombie counts as gone: it
    will never do anything again.
    """
    if LINUX:
        found = _stat(pid)
        return None if found is None or found[1][0] in "ZXx" else f"{boot_id()}:{found[1][19]}"
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.Error:
        return None


def boot_id() -> str:
    """Return what is another one after each start of the machine, '-' where that cannot be told."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read(8)
    except OSError:
        return "-"


def parent_of(pid: int) -> tuple[int, str] | None:
    """Return (the parent's pid, this process's program name), or None when it is gone."""
    if LINUX:
        found = _stat(pid)
        return None if found is None else (int(found[1][1]), found[0])
    import psutil

    try:
        process = psutil.Process(pid)
        return process.ppid(), process.name()
    except psutil.Error:
        return None


def git_ancestors(pid: int, depth: int = 16) -> list[tuple[int, str]]:
    """Return (pid, start time) of ``pid`` and its ancestors up to the outermost git among them; empty without one.

    Their end means that git is done and a hook framework has put back what it stashed.
    """
    chain: list[tuple[int, str]] = []
    upto = 0
    for _ in range(depth):
        found = parent_of(pid)
        started = start_time(pid)
        if pid <= 1 or found is None or started is None:
            break
        chain.append((pid, started))
        if found[1] == "git" or found[1].startswith("git-"):
            upto = len(chain)
        pid = found[0]
    return chain[:upto]


def our_argv(*words: str) -> list[str]:
    """Return the argument vector that runs ``words`` in a process of this same installation."""
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
    return [sys.executable, "-P", os.path.join(package, "__main__.py"), *words]


def worker_argv(work: Work) -> list[str]:
    """Return the argument vector of the worker that does ``work``."""
    return our_argv(*work.words())


def detach(argv: list[str], env: dict[str, str], cwd: str) -> None:
    """Run ``argv`` in a session of its own that holds none of our descriptors; do not wait for it.

    Forks twice, so the process is nobody's child. The caller must be single-threaded.
    """
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.closerange(3, 65536)
        os.chdir(cwd)
        os.execve(argv[0], argv, env)
    finally:
        os._exit(127)


class Dialogue:
    """A program that answers each line with a line, run while inside: no subprocess, which costs more to import."""

    def __init__(self, argv: list[str], env: dict[str, str], cwd: str) -> None:
        self.argv, self.env, self.cwd = argv, env, cwd

    def __enter__(self) -> Dialogue:  # noqa: PYI034  typing is not light
        theirs, self.to = os.pipe()
        self.back, answers = os.pipe()
        self.rest = b""
        self.pid = os.fork()
        if self.pid == 0:
            try:
                null = os.open(os.devnull, os.O_RDWR)
                for descriptor, number in ((theirs, 0), (answers, 1), (null, 2)):
                    os.dup2(descriptor, number)
                os.closerange(3, 65536)
                os.chdir(self.cwd)
                os.execvpe(self.argv[0], self.argv, self.env)
            finally:
                os._exit(127)
        os.close(theirs)
        os.close(answers)
        return self

    def ask(self, line: str) -> str:
        """Return the answer without its newline, '' when the program has ended. Raises ``OSError`` when it cannot be asked."""
        if "\n" in line:
            return ""
        os.write(self.to, line.encode("utf-8", "surrogateescape") + b"\n")
        while b"\n" not in self.rest:
            more = os.read(self.back, 65536)
            if not more:
                return ""
            self.rest += more
        answer, _, self.rest = self.rest.partition(b"\n")
        return answer.decode("utf-8", "replace")

    def __exit__(self, *what: object) -> None:
        os.close(self.to)
        os.close(self.back)
        os.waitpid(self.pid, 0)
