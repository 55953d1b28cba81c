"""Start a program, and be the parent of whatever it leaves behind.

    python -I -S -X utf8 keeper.py LINE LC_CTYPE -- PROGRAM ARGUMENT...

On Linux a keeper adopts every process below it whose own parent ends (PR_SET_CHILD_SUBREAPER), so that a daemon stays findable
that is in a session of its own, took off its marks and overwrote its title. LINE is the number of an inherited socket. Over it the
runner is told, a line each, ``e<errno>`` (the program cannot be started) or ``x<exit status>`` (it has ended; negative for a
signal). A byte from the runner lets the keeper go; when the runner dies without one, the keeper stays as long as there is anybody
below it, for who comes next to find them. LC_CTYPE is that variable as it shall be, for Python may have changed it while it
started. Only light imports.
"""

from __future__ import annotations

import os
import select
import signal
import sys

_SUBREAPER = 36


def _adopt_orphans() -> None:
    if sys.platform.startswith("linux"):
        try:
            import ctypes

            ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
        except (ImportError, OSError, AttributeError):  # another C library: orphans are told by their marks alone
            return


def _become(argv: list[str], ctype: str, trouble: int) -> None:
    os.environ.pop("LC_CTYPE", None)
    if ctype:
        os.environ["LC_CTYPE"] = ctype
    # Python ignores the first two, a shell's background or nohup the others; what is ignored stays so in whatever is started.
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(trouble, b"e%d\n" % (error.errno or 0))
    os._exit(127)


def main(words: list[str]) -> int:
    line, ctype, _, *argv = words
    runner = int(line)
    os.set_inheritable(runner, False)
    _adopt_orphans()
    program = os.fork()
    if program == 0:
        _become(argv, ctype, runner)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):  # the program's output ends with those that write it
        os.dup2(null, descriptor)
    ended, woken = os.pipe()
    for descriptor in (ended, woken):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):  # told to everybody, perhaps: we go last
        signal.signal(number, signal.SIG_IGN)
    ends = [runner, ended]
    while _reap(program, runner):
        ready = select.select(ends, [], [])[0]
        if ended in ready:
            os.read(ended, 4096)
        if runner in ready:
            if _read(runner):
                return 0
            ends.remove(runner)
    return 0


def _reap(program: int, runner: int) -> bool:
    """Let all go that have ended, and tell how the program did; return whether anybody is left."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
        if pid == program:
            try:
                os.write(runner, b"x%d\n" % os.waitstatus_to_exitcode(status))
            except OSError:  # the runner has gone
                continue


def _read(runner: int) -> bytes:
    try:
        return os.read(runner, 1)
    except OSError:
        return b""


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
