"""Run the gates of a tree of the train: those of one worktree one after the other, the others beside them."""

from __future__ import annotations

import threading
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.gates.run import Job, could_not_run, on_signals, run_gate
from loki_hooks.actions.gates.runners import ended
from loki_hooks.actions.reconcile.run import reconcile
from loki_hooks.domain.work import GateWork
from loki_hooks.errors import InterruptedRunError, LokiError
from loki_hooks.system.site import discover
from loki_hooks.workers.log import log_error


def run_gates(work: GateWork) -> None:
    """Run the gates that the tree has no result for, then make a pass; only the latter is left out when told to stop."""
    site = discover(Path(work.folder))
    context = Context(site)
    stop = threading.Event()
    on_signals(stop)
    side_by_side: dict[str, list[str]] = {}
    for name, gate in context.config.in_force.gates.items():
        side_by_side.setdefault(gate.worktree, []).append(name)

    def run_all(names: list[str]) -> None:
        for name in names:
            if not stop.is_set():
                _run(context, work, name, stop)

    threads = [threading.Thread(target=run_all, args=(names,)) for names in side_by_side.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended(context, work.tree)
    if not stop.is_set():
        reconcile(site, wait=60)


def _run(context: Context, work: GateWork, name: str, stop: threading.Event) -> None:
    gate, own = context.config.in_force.gates[name], Context(context.site)
    job = Job(gate, work.commit, work.tree, work.subject, stop=stop, places=work.places, train=True, again=work.again)
    try:
        run_gate(own, job)
    except InterruptedRunError:
        return
    except Exception as error:  # noqa: BLE001  one gate's trouble must not end the others; it is in the log
        log_error(work, error, name)
        try:  # a tree without any result would be tried again at once, for ever
            could_not_run(Context(context.site), job, f"{type(error).__name__}: {error}")
        except LokiError:
            stop.set()
