"""What every ``post-*`` hook does: start the worker that looks later, and show a notice that waits for the branch.

A hook decides nothing: pre-commit and prek have stashed the user's edits while they run us, so the tree looks
clean when it is not. The worker waits until git, and the framework with it, has gone.
"""

from __future__ import annotations

import os
import sys

from loki_hooks.domain.work import ReconcileWork
from loki_hooks.hooks.caller import NATIVE, cleaned, framework
from loki_hooks.hooks.place import HookPlace, find_place, first_line
from loki_hooks.system.processes.detach import LINUX, detach, git_ancestors, parent_of, start_time, worker_argv
from loki_hooks.system.store.fronts import displaced

MAX_NOTICE = 400


def trigger(hook: str, notice: str = "") -> int:
    """Have the worker reconcile because of ``hook``; show ``notices/<notice>-<branch>`` if there is one."""
    env = dict(os.environ)
    by = framework(env)
    place = find_place()
    if env.get("LOKI_TRUST") == "1":  # the worker cannot tell any more: it is nobody's child
        from loki_hooks.system.processes.ancestry import below_a_session

        if below_a_session(os.path.dirname(place.loki)):
            del env["LOKI_TRUST"]
    if by != NATIVE:
        consent(place, by)
    if not LINUX:  # psutil, which tells processes apart there, is not in the standard library
        import site

        site.main()
    if displaced(place.common):
        stand_up_again(place)
    if notice:
        show_notice(place, notice)
    work = ReconcileWork(hook, by, place.root, waited_for(by))
    # Not in the worktree: one that somebody is in is not cleaned up, be it ourselves.
    detach(worker_argv(work), cleaned(env), os.path.dirname(place.loki))
    return 0


def stand_up_again(place: HookPlace) -> None:
    """Put our hooks back at once where another tool's installer displaced them: a push may come next."""
    from contextlib import suppress
    from pathlib import Path

    from loki_hooks.actions.install.standing import stand_up
    from loki_hooks.errors import LokiError
    from loki_hooks.system.site import require_enabled

    with suppress(LokiError, OSError):  # the pass that comes after this tries again, and says what is in the way
        stand_up(require_enabled(Path(place.root)))


def waited_for(by: str) -> list[tuple[int, str]]:
    """Return the processes after whose end the tree is the user's again: git's, or those of a framework run by hand."""
    parent = os.getppid()
    found = git_ancestors(parent)
    if not found and by != NATIVE:
        above = parent_of(parent)
        for pid in (parent, above[0] if above else 0):
            started = start_time(pid) if pid > 1 else None
            if started is not None:
                found.append((pid, started))
    return found


def consent(place: HookPlace, by: str) -> None:
    """Record that loki-hooks is on here: a person put it into the configuration of the framework that runs us."""
    marker = os.path.join(place.common, "loki", "enabled")
    if os.path.isfile(marker):
        return
    os.makedirs(os.path.dirname(marker), exist_ok=True)
    handle = os.open(marker, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        os.write(handle, f"{by}\n".encode())
    finally:
        os.close(handle)


def show_notice(place: HookPlace, notice: str) -> None:
    """Print the line that a reconcile left for the branch checked out here, if there is one."""
    branch = place.branch.replace("/", "-")
    if not branch:
        return
    folder = place.loki
    for part in ("", "state", "notices"):
        folder = os.path.join(folder, part) if part else folder
        if os.path.islink(folder):  # somebody planted it: what it leads to is not shown
            return
    line = first_line(os.path.join(folder, f"{notice}-{branch}"))
    if line.strip():
        text = line if len(line) <= MAX_NOTICE else line[: MAX_NOTICE - 1] + "…"
        safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
        _print(f"loki-hooks: {safe}")


def _print(line: str) -> None:
    """Print the line on stderr; where a framework would hide that, on the terminal, if there is one."""
    if framework(dict(os.environ)) != NATIVE and not sys.stderr.isatty():
        try:
            terminal = os.open("/dev/tty", os.O_WRONLY | os.O_NOCTTY)
        except OSError:
            pass  # nobody looks on
        else:
            os.write(terminal, f"{line}\n".encode("utf-8", "replace"))
            os.close(terminal)
            return
    print(line, file=sys.stderr)
