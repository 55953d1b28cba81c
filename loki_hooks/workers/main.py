"""Run what a process of our own was started for (`domain/work.py` has its words): each kind of work is a module here.

But for the view, a worker prints nothing that anybody reads, exits when its work is done, and has a pass made after it.
"""

from __future__ import annotations

import os

from loki_hooks.domain.work import GateWork, ReconcileWork, SessionWork, SetupWork, TurnsWork, ViewWork, Work, parse
from loki_hooks.errors import NotEnabledError
from loki_hooks.system.processes.ancestry import WORK_MARK
from loki_hooks.workers.log import log_error


def run_worker(words: list[str]) -> int:
    """Do what ``words``, from ``worker`` on, ask for; return the exit status. What goes wrong is in ``logs/hooks.log``."""
    work = parse(words)
    if work is None:
        return 2
    os.environ[WORK_MARK] = "1"
    try:
        _run(work)
    except NotEnabledError:
        return 0
    except Exception as error:  # noqa: BLE001  nobody is there to see it: it must be in the log
        log_error(work, error)
        return 3
    return 0


def _run(work: Work) -> None:
    match work:
        case ReconcileWork():
            from loki_hooks.workers.reconcile import run_pass

            run_pass(work)
        case GateWork():
            from loki_hooks.workers.gate import run_gates

            run_gates(work)
        case SessionWork():
            from loki_hooks.workers.session import run_session

            run_session(work)
        case SetupWork():
            from loki_hooks.workers.setup import set_up

            set_up(work)
        case TurnsWork():
            from loki_hooks.workers.turns import run_turns

            run_turns(work)
        case ViewWork():
            from loki_hooks.workers.view import show

            show(work)
        case _:
            raise AssertionError(f"there is no worker for {work}")
