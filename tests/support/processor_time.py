"""Run a program, wait for whatever it leaves behind, and so know what processor time all of it took.

    python tests/processor_time.py PROGRAM [ARGUMENT ...]

A process that outlives its parent is counted by whoever waits for it: here (PR_SET_CHILD_SUBREAPER in prctl(2), Linux only).
`conftest.py` asks for the sum and prints it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

KEEPER = "PROCESSOR_TIME_KEEPER"
"""The environment variable that names the process that counts."""
_PR_SET_CHILD_SUBREAPER = 36


def used() -> tuple[float, float]:
    """Return the (user, system) seconds of the keeper, else of this process, and of all its descendants, dead and alive."""
    import psutil

    me = psutil.Process()
    keeper = next((p for p in me.parents() if str(p.pid) == os.environ.get(KEEPER)), me)
    user = system = 0.0
    for process in (keeper, *keeper.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            user += times.user + getattr(times, "children_user", 0.0)
            system += times.system + getattr(times, "children_system", 0.0)
    return user, system


def main(argv: Sequence[str]) -> int:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = subprocess.Popen(argv, env={**os.environ, KEEPER: str(os.getpid())})
    signal.signal(signal.SIGINT, lambda *_: None)  # the terminal tells the child, too
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: child.send_signal(number))
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            code = os.waitstatus_to_exitcode(status)
            child.returncode = code
            return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
