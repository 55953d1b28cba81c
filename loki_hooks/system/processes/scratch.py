"""A scratch folder: temporary, sealed off from the user's settings, and empty of processes before it goes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from loki_hooks.errors import LokiError

_SEALED = ("GIT_", "LOKI_", "PRE_COMMIT", "PREK")
"""Variables of these families say how git, we and hook frameworks behave in the user's own repositories."""
_MARK = "LOKI_HOOKS_SCRATCH"
"""Inherited by everything that is started in the sealed environment: the folder."""
_GITCONFIG = "[safe]\n\tdirectory = *\n[init]\n\tdefaultBranch = main\n"
"""In place of the user's own and the system's. A temporary folder may be on a disk whose files are nobody's."""


def make_scratch(prefix: str) -> Path:
    """Make a new folder among the temporary ones and return its real path. Raises ``LokiError``."""
    try:
        return Path(os.path.realpath(tempfile.mkdtemp(prefix=prefix)))
    except OSError as error:
        raise LokiError(
            f"cannot make a temporary folder: {error.strerror or error}",
            "let TMPDIR name a folder that can be written to",
        ) from error


@contextlib.contextmanager
def sealed_environment(folder: Path) -> Iterator[None]:
    """Inside, this process and all that it starts see none of the user's git, loki-hooks and framework settings.

    What the scratch repository runs is trusted by LOKI_TRUST=1, so that nothing of it gets into the user's trust file.
    """
    before = dict(os.environ)
    config = folder / "gitconfig"
    config.write_text(_GITCONFIG, encoding="utf-8")
    for name in before:
        if name.startswith(_SEALED):
            del os.environ[name]
    os.environ.update(
        {_MARK: str(folder)},
        LOKI_TRUST="1",
        XDG_STATE_HOME=str(folder / "state"),
        XDG_RUNTIME_DIR=str(folder / "run"),  # not there: what may be a secret is kept nowhere
        GIT_CONFIG_GLOBAL=str(config),
        GIT_CONFIG_NOSYSTEM="1",
        GIT_TERMINAL_PROMPT="0",
    )
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def processes_in(folder: Path) -> dict[int, str]:
    """Return the live processes that descend from the folder's sealed environment: pid → command.

    A person's shell or editor that looks into the folder is none of them.
    """
    import psutil

    found = {}
    for process in psutil.process_iter():
        try:
            if process.environ().get(_MARK) == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = " ".join(process.cmdline())
        except (psutil.Error, OSError):
            continue
    found.pop(os.getpid(), None)
    return found


def wait_until_empty(folder: Path, timeout: float) -> dict[int, str]:
    """Wait at most ``timeout`` seconds until no process is in the folder; return those that are left."""
    deadline = time.monotonic() + timeout
    while (left := processes_in(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def end_processes_in(folder: Path, patience: float = 10.0) -> None:
    """End every process in the folder: TERM at first (a runner then ends its session in order), later KILL.

    Repeated until none is left: a runner that ends may have started another process before.
    """
    deadline = time.monotonic() + patience
    told: set[int] = set()
    while left := processes_in(folder):
        late = time.monotonic() > deadline
        for pid in left:
            if late or pid not in told:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
                told.add(pid)
        if time.monotonic() > deadline + patience:
            break
        time.sleep(0.1)


def remove_scratch(folder: Path) -> None:
    """Remove the folder. Raises ``LokiError`` when something of it stays."""
    for _ in range(5):  # what ended a moment ago may have left a last file meanwhile
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.2)
    raise LokiError(f"{folder} could not be removed", "remove it yourself")
