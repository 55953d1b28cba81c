"""Who runs gates right now: the runners that passes started for the train, and every single run.

    state/gate-runners/<tree>.json        a runner that a pass started: {runner, tree, commit, subject, cancelled}
    state/gate-runs/<gate>.<pid>.json     a run: {runner, child (its keeper), mark, gate, commit, tree, started_at}
    state/gate-waits/<tree>.<pid>.json    somebody who waits for a run of the tree that another makes

A pass ends only what a pass started, and not while somebody waits for it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from loki_hooks.actions.context import Context
from loki_hooks.domain.streams.record import ProcessId
from loki_hooks.errors import LokiError
from loki_hooks.system.clock import now
from loki_hooks.system.files import entries, write_atomic
from loki_hooks.system.json import dump_json, read_json
from loki_hooks.system.processes.alive import identify, is_alive, myself
from loki_hooks.system.processes.session_tree import RUN, SessionTree, mark_of, send

RUNNERS, RUNS, WAITS = "gate-runners", "gate-runs", "gate-waits"


@dataclass(frozen=True)
class Runner:
    """A live runner of a train's tree. ``cancelled``: it was told to end, and is about to."""

    process: ProcessId
    tree: str
    commit: str
    subject: str
    cancelled: bool = False


def started(context: Context, tree: str, commit: str, subject: str, pid: int) -> None:
    """Say that a pass has started the process ``pid`` for the tree."""
    process = identify(pid)
    if process is not None:
        _write(context, Runner(process, tree, commit, subject))


def ended(context: Context, tree: str) -> None:
    """Take this process out of the runners of the tree."""
    path = _folder(context, RUNNERS) / f"{tree}.json"
    value = read_json(path)
    runner = ProcessId.from_json(value.get("runner")) if isinstance(value, dict) else None
    if runner is None or runner == myself():  # a later one may have taken the place
        with contextlib.suppress(OSError):
            path.unlink()


def runners(context: Context) -> tuple[Runner, ...]:
    """Return the live runners that passes started."""
    return tuple(runner for value in _read(context, RUNNERS) if (runner := _runner(value)) is not None)


def cancel(context: Context, tree: str) -> Runner | None:
    """Tell the runner of the tree to end, without a result; return it, or None when there is none to tell.

    One that somebody waits for (a push, `loki-hooks test`) goes on.
    """
    for runner in runners(context):
        if runner.tree == tree and not runner.cancelled and tree not in _awaited(context):
            _write(context, Runner(runner.process, tree, runner.commit, runner.subject, cancelled=True))
            send(runner.process, signal.SIGTERM)
            return runner
    return None


def under_way(context: Context) -> bool:
    """Return whether a gate is being run now, or its runner was started and has not come so far yet."""
    return any(
        is_alive(ProcessId.from_json(value.get("runner"))) for kind in (RUNNERS, RUNS) for value in _read(context, kind)
    )


@contextlib.contextmanager
def waiting_for(context: Context, tree: str) -> Iterator[None]:
    """Say, while inside, that this process waits for a run of the tree that another makes."""
    path = context.site.folder("state", WAITS) / f"{tree}.{os.getpid()}.json"
    write_atomic(path, dump_json({"runner": myself().to_json(), "tree": tree}))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


class Registered:
    """A run in ``state/gate-runs/``, from its start to its end."""

    def __init__(self, context: Context, gate: str, commit: str, tree: str, mark: str) -> None:
        self.path = context.site.folder("state", RUNS) / f"{gate}.{os.getpid()}.json"
        self.about = {"gate": gate, "commit": commit, "tree": tree, "mark": mark}

    def __enter__(self) -> Self:
        return self

    def child(self, pid: int) -> None:
        """Say which process the command's keeper is: should its runner be killed, the next one ends it, and all below it."""
        process = identify(pid)
        who = {"runner": myself().to_json(), "child": process.to_json() if process else None}
        write_atomic(self.path, dump_json({**who, **self.about, "started_at": now()}))

    def __exit__(self, *what: object) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink()


def end_orphans(context: Context) -> None:
    """End what killed runners left running, wherever that works."""
    for kind in (RUNS, RUNNERS, WAITS):
        for entry in entries(context.site.loki / "state" / kind):
            if entry.name.startswith(".") or not entry.name.endswith(".json"):
                continue
            value = read_json(Path(entry.path))
            if isinstance(value, dict) and is_alive(ProcessId.from_json(value.get("runner"))):
                continue
            if isinstance(value, dict) and kind == RUNS:
                runner, mark = ProcessId.from_json(value.get("runner")), str(value.get("mark", ""))
                if runner is not None and mark.startswith(f"{mark_of(runner)}{RUN}"):
                    SessionTree(runner, mark=mark).end_with_keepers()
            with contextlib.suppress(OSError):
                Path(entry.path).unlink()


def _awaited(context: Context) -> frozenset[str]:
    return frozenset(
        str(value.get("tree")) for value in _read(context, WAITS) if is_alive(ProcessId.from_json(value.get("runner")))
    )


def _folder(context: Context, kind: str) -> Path:
    return context.site.loki / "state" / kind


def _read(context: Context, kind: str) -> Iterator[dict[str, Any]]:
    for entry in entries(_folder(context, kind)):
        if entry.name.endswith(".json") and not entry.name.startswith("."):
            value = read_json(Path(entry.path))
            if isinstance(value, dict):
                yield value


def _runner(value: dict[str, Any]) -> Runner | None:
    process = ProcessId.from_json(value.get("runner"))
    texts = [value.get(key) for key in ("tree", "commit", "subject")]
    if process is None or not is_alive(process) or not all(isinstance(text, str) for text in texts):
        return None
    tree, commit, subject = (str(text) for text in texts)
    return Runner(process, tree, commit, subject, value.get("cancelled") is True)


def _write(context: Context, runner: Runner) -> None:
    value = {
        "runner": runner.process.to_json(),
        "tree": runner.tree,
        "commit": runner.commit,
        "subject": runner.subject,
        "cancelled": runner.cancelled,
    }
    with contextlib.suppress(LokiError):  # it only tells of it: what stands in its place is not ours
        write_atomic(context.site.folder("state", RUNNERS) / f"{runner.tree}.json", dump_json(value))
