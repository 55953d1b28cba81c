"""Become a program, but only when told to: `python -I -S -X utf8 launch.py LINE TERMINAL LC_CTYPE -- PROGRAM ARGUMENT...`.

A session's runner starts its agent through this, so that the agent's pid is recorded before the agent does anything:
a runner that is killed in between has started nothing. LINE is the number of an inherited socket. A byte on it means go; its end
means that nobody is there any more. When the program cannot be started, its errno goes back over it; when it can,
the line ends by that. TERMINAL ``1``: standard input is a terminal that is to control this process (which leads a session).
LC_CTYPE is that variable as it shall be, for Python may have changed it while it started. Only light imports.
"""

from __future__ import annotations

import os
import signal
import sys

ENDED = 125


def main(words: list[str]) -> int:
    line, terminal, ctype, _, *argv = words
    told = int(line)
    os.set_inheritable(told, False)
    if os.read(told, 1) != b"g":
        return ENDED
    if terminal == "1":
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.environ.pop("LC_CTYPE", None)
    if ctype:
        os.environ["LC_CTYPE"] = ctype
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and what is ignored stays so
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(told, str(error.errno).encode())
    return 127


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
