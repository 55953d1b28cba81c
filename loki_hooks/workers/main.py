"""What runs in processes of our own: a pass after a hook, a gate of the train, a session, an adopted worktree's set-up.

    worker reconcile TRIGGER FRAMEWORK FOLDER [PID=START …]   wait for those processes, then make a pass
    worker gate COMMIT TREE SUBJECT PLACES FOLDER             run the gates that the tree has no result for
    worker session STREAM TOKEN FOLDER                        run a stream's session
    worker setup STREAM FOLDER                                set an adopted worktree up
    worker turns FOLDER                                       wait until a stream's provider takes it again
    worker view ADDRESS                                       show a session's terminal in this one (a tmux pane)

But for the view, a worker prints nothing that anybody reads, exits when its work is done, and has a pass made after it.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.domain.streams.record import ProcessId
from loki_hooks.errors import LokiError, NotEnabledError
from loki_hooks.system.processes.alive import wait_until_gone
from loki_hooks.system.processes.ancestry import WORK_MARK
from loki_hooks.system.site import Site, discover
from loki_hooks.system.store.fault_log import log_fault

PATIENCE = 3600.0


def run_worker(words: list[str]) -> int:
    """Run the worker that ``words`` name and return its exit status. What goes wrong is in ``logs/hooks.log``."""
    kinds = {
        "reconcile": _reconcile,
        "gate": _gate,
        "session": _session,
        "setup": _setup,
        "turns": _turns,
        "view": _view,
    }
    if not words or words[0] not in kinds:
        return 2
    os.environ[WORK_MARK] = "1"
    try:
        kinds[words[0]](words[1:])
    except NotEnabledError:
        return 0
    except Exception as error:  # noqa: BLE001  nobody is there to see it: it must be in the log
        _log(words, error)
        return 3
    return 0


def _log(words: list[str], error: Exception) -> None:
    for word in words[1:]:
        if word.startswith("/") and Path(word).is_dir():
            with suppress(LokiError, OSError):
                if log_fault(discover(Path(word)), f"worker {' '.join(words[:2])}", error):
                    return


def _reconcile(words: list[str]) -> None:
    from loki_hooks.actions.reconcile.run import reconcile

    _, framework, folder, *ancestors = words
    processes = []
    for word in ancestors:
        pid, _, started = word.partition("=")
        if pid.isdigit():
            processes.append(ProcessId(int(pid), started))
    if not wait_until_gone(processes, PATIENCE):
        return
    site = _site(folder)
    if framework != "native" and not site.enabled:
        site.enable(framework)  # being run by pre-commit or prek turns loki-hooks on
    if site.enabled:
        reconcile(site)


def _site(folder: str) -> Site:
    """Return the site of the folder, or, where the worktree is gone meanwhile, of the first parent that has one."""
    path = Path(folder)
    while not path.is_dir() and path != path.parent:
        path = path.parent
    return discover(path)


def _gate(words: list[str]) -> None:
    from loki_hooks.actions.gates.run import Job, could_not_run, on_signals, run_gate
    from loki_hooks.actions.gates.runners import ended
    from loki_hooks.actions.reconcile.run import reconcile
    from loki_hooks.errors import InterruptedRunError

    commit, tree, subject, places, folder = words
    site = discover(Path(folder))
    context = Context(site)
    stop = threading.Event()
    on_signals(stop)

    def run(name: str) -> None:
        job = Job(context.config.in_force.gates[name], commit, tree, subject, stop=stop, places=int(places), train=True)
        try:
            run_gate(Context(site), job)
        except InterruptedRunError:
            return
        except Exception as error:  # noqa: BLE001  one gate's trouble must not end the others; it is in the log
            _log(["gate", name, folder], error)
            try:  # a tree without any result would be tried again at once, for ever
                could_not_run(Context(site), job, f"{type(error).__name__}: {error}")
            except LokiError:
                stop.set()

    def run_all(names: list[str]) -> None:
        for name in names:
            if not stop.is_set():
                run(name)

    side_by_side: dict[str, list[str]] = {}
    for name, gate in context.config.in_force.gates.items():
        side_by_side.setdefault(gate.worktree, []).append(name)
    threads = [threading.Thread(target=run_all, args=(names,)) for names in side_by_side.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended(context, tree)
    if not stop.is_set():
        reconcile(site, wait=60)


def _session(words: list[str]) -> None:
    from loki_hooks.actions.gates.run import on_signals
    from loki_hooks.actions.reconcile.run import reconcile
    from loki_hooks.actions.sessions.runner import run_session

    stream, token, folder = words
    site = discover(Path(folder))
    stop = threading.Event()
    on_signals(stop)
    run_session(Context(site), stream, token, stop)
    reconcile(site, wait=60)


def _turns(words: list[str]) -> None:
    from loki_hooks.actions.gates.run import on_signals
    from loki_hooks.actions.sessions.turns import see_to_turns
    from loki_hooks.workers.turns import wait_for_turns

    site = discover(Path(words[0]))
    stop = threading.Event()
    on_signals(stop)
    wait_for_turns(site, stop)
    if not stop.is_set() and site.enabled:
        see_to_turns(Context(site))  # whoever came while we were about to leave


def _view(words: list[str]) -> None:
    from loki_hooks.system.processes.terminal import view

    with suppress(OSError):  # the session is over
        view(words[0])


def _setup(words: list[str]) -> None:
    from loki_hooks.actions.streams.setup import run_setup
    from loki_hooks.system.store import events

    stream, folder = words
    context = Context(discover(Path(folder)))
    record = context.store.read().streams.get(stream)
    if record is None or not Path(record.path).is_dir():
        return
    log = context.site.folder("logs") / f"setup-{stream}.log"
    try:
        seen = run_setup(
            context,
            Path(record.path),
            context.config.working.environment,
            stream=stream,
            branch=record.branch,
            values=context.values_of(record),
            log=log,
        )
    except LokiError as error:
        events.record(context.site, "setup-failed", stream, detail=error.message)
        return
    events.record(context.site, "set-up", stream, detail=seen)
