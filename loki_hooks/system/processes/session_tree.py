"""The processes of one session: everything that its agent started, wherever it has gone since.

A process belongs to a session when one of these proves it:

- it was started with the session's mark in its environment (``LOKI_SESSION``: the runner's pid and start time, so no
  other session, in any repository, has the same), whatever group, session or parent it has now;
- it was seen as a descendant of the agent, and still is that very process (pid and start time);
- it is in the agent's process group, while the agent itself is there to prove that the group's number is its own;
- it is below the runner, which adopts what its parent left behind (Linux), and shows no sign of being anybody else's:
  an agent's process that took off its marks, too;
- it is below a keeper with the mark, which adopts in the same way what a gate, or a set-up, left behind (Linux).

Workers of ours that a git hook or a command of the agent started (passes, gates, other sessions' runners) are not part
of it, nor is what they start. Nothing is signalled but a process that was identified, through a pidfd where there are
such.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from loki_hooks.domain.streams.record import ProcessId
from loki_hooks.errors import LokiError
from loki_hooks.system.processes.alive import identify, is_alive
from loki_hooks.system.processes.ancestry import (
    WORK_MARK,
    ancestors,
    own_pid,
    started_with,
    variable,
    words_of,
    worker_of,
)
from loki_hooks.system.processes.detach import LINUX
from loki_hooks.system.processes.run import SESSION_MARK

ROUNDS = 50
_PAUSE = 0.05


RUN = "/"
"""Stands in a mark between the runner and which of its runs it is: a session has none of it."""


def mark_of(runner: ProcessId, run: str = "") -> str:
    """Return what ``LOKI_SESSION`` is in the session that this runner owns, or in the run of a gate or a set-up."""
    return f"{runner.pid}:{runner.started}{RUN if run else ''}{run}"


@dataclass
class SessionTree:
    """What is known of one session's processes. ``agent`` is the process that the runner started."""

    runner: ProcessId
    agent: ProcessId | None = None
    seen: dict[int, ProcessId] = field(default_factory=dict)
    adopting: bool = False
    """We are the runner, have nothing else below us than workers, and adopt orphans."""
    mark: str = ""
    """What the processes were marked with; default: the session's own mark."""
    keepers: list[ProcessId] = field(default_factory=list)
    """The processes that adopt what the marked ones leave behind (`keeper.py`); they end last."""

    def __post_init__(self) -> None:
        self.mark = self.mark or mark_of(self.runner)

    def look(self, marked: Collection[int] = ()) -> None:
        """Remember the agent's descendants as they are now; some take off their marks and leave their parents later."""
        import psutil

        with contextlib.suppress(psutil.Error, OSError):
            children = _children()
            tops = [*marked, *([self.agent.pid] if self.agent is not None and is_alive(self.agent) else [])]
            if self.adopting:
                orphans = [pid for pid in children.get(self.runner.pid, []) if pid != self.agent_pid]
                ours = worker_of(self.runner.pid)
                own = ours.stream if ours is not None else ""
                tops += [pid for pid in orphans if not _is_anothers(pid, own)]
            for keeper in filter(is_alive, self.keepers):
                tops += [pid for pid in children.get(keeper.pid, []) if not _is_for_itself(pid)]
            for pid in (*tops, *(below for top in tops for below in _below(top, children))):
                if pid not in self.seen or not is_alive(self.seen[pid]):
                    who = identify(pid)
                    if who is not None:
                        self.seen[pid] = who

    def living(self, *, group: bool = False) -> list[ProcessId]:
        """Return the processes that live. ``group``: the caller proves that the agent's group is still the agent's
        (its own child, not waited for)."""
        import psutil

        mark = f"{SESSION_MARK}={self.mark}".encode()
        pids = psutil.pids()
        marked = [pid for pid in pids if mark in started_with(pid) and not is_worker(pid)]
        if not any(map(is_alive, self.keepers)):
            self.keepers = [who for pid in marked if is_keeper(pid) and (who := identify(pid)) is not None]
        spared = {os.getpid(), self.runner.pid, *(keeper.pid for keeper in self.keepers)}
        self.look([pid for pid in marked if pid not in spared])
        whole = self.agent is not None and (group or is_alive(self.agent))
        found = []
        for pid in dict.fromkeys((*pids, *self.seen)):
            who = None if pid in spared else identify(pid)
            if who is None:
                continue
            ours = self.seen.get(pid) == who or who == self.agent or (whole and _group_of(pid) == self.agent_pid)
            if ours and not is_worker(pid):
                found.append(who)
        return found

    @property
    def agent_pid(self) -> int:
        return self.agent.pid if self.agent is not None else -1

    def end(self, grace: float = 0.0, *, group: bool = False) -> bool:
        """End them all: TERM and ``grace`` seconds (when positive), then KILL until none is left. Return whether none is."""
        if grace > 0:
            for who in self.living(group=group):
                send(who, signal.SIGTERM)
            deadline = time.monotonic() + grace
            while time.monotonic() < deadline and self.living(group=group):
                time.sleep(_PAUSE)
        quiet = 0
        for _ in range(ROUNDS):
            left = self.living(group=group)
            quiet = 0 if left else quiet + 1
            if quiet == 2:  # one look may miss who is just being forked
                return True
            for who in left:
                send(who, signal.SIGKILL)
            time.sleep(_PAUSE / 5)
        return not self.living(group=group)

    def end_with_keepers(self) -> bool:
        """End all of a run whose runner is dead, its keepers last. Return whether none is left."""
        clean = self.end()
        for keeper in self.keepers if clean else ():
            send(keeper, signal.SIGKILL)
        return clean


def send(who: ProcessId, number: int) -> bool:
    """Send the signal to exactly this process; return whether it was there to get it."""
    if not hasattr(os, "pidfd_open"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if is_alive(who):
                os.kill(who.pid, number)
                return True
        return False
    try:
        handle = os.pidfd_open(who.pid)
    except OSError:
        return False
    try:
        if not is_alive(who):  # asked after the handle is ours: it can mean no other process now
            return False
        signal.pidfd_send_signal(handle, number)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def measured(trees: list[SessionTree], interval: float) -> list[tuple[int, float, int]]:
    """Return of each tree (processes, percent of one processor over ``interval`` seconds, bytes of memory)."""
    import psutil

    before: list[dict[int, float]] = []
    members: list[list[psutil.Process]] = []
    for tree in trees:
        found = []
        for who in tree.living():
            with contextlib.suppress(psutil.Error):
                found.append(psutil.Process(who.pid))
        members.append(found)
        before.append(_cpu_seconds(found))
    began = time.monotonic()
    if any(members) and interval > 0:
        time.sleep(interval)
    elapsed = max(time.monotonic() - began, 1e-3)
    result = []
    for found, start in zip(members, before, strict=True):
        after = _cpu_seconds(found)
        used = sum(seconds - start.get(pid, seconds) for pid, seconds in after.items())
        result.append((len(found), round(100 * max(0.0, used) / elapsed, 1), sum(_memory(p) for p in found)))
    return result


def footprint(tree: SessionTree) -> int:
    """Return the bytes of memory that the session's processes take."""
    return measured([tree], 0)[0][2]


def _cpu_seconds(processes: object) -> dict[int, float]:
    import psutil

    found = {}
    assert isinstance(processes, list)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            found[process.pid] = times.user + times.system
    return found


def _memory(process: object) -> int:
    """Return a process's share: memory that several share counts once, where the system tells (``smaps_rollup``)."""
    import psutil

    assert isinstance(process, psutil.Process)
    if LINUX:
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in (
                Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii", errors="replace").splitlines()
            ):
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    with contextlib.suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def _is_anothers(pid: int, own: str) -> bool:
    """Whether a child of a runner is a worker of ours, or was started by one for itself, or for a stream that is not ``own``."""
    return _is_for_itself(pid) or variable(started_with(pid), "LOKI_STREAM") not in ("", own)


def _is_for_itself(pid: int) -> bool:
    """Whether this is a worker of ours, or was started by one for itself (a tmux server, say)."""
    return is_worker(pid) or bool(variable(started_with(pid), WORK_MARK))


def _children() -> dict[int, list[int]]:
    """Return each process's children, by pid."""
    import psutil

    children: dict[int, list[int]] = {}
    for process in psutil.process_iter(["ppid"]):
        children.setdefault(process.info["ppid"], []).append(process.pid)
    return children


def _below(pid: int, children: Mapping[int, list[int]]) -> Iterator[int]:
    """Yield the pids below ``pid``, but not our own workers and what is below those."""
    todo = [pid]
    while todo:
        for child in children.get(todo.pop(), []):
            if not is_worker(child):
                yield child
                todo.append(child)


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return -2


def is_keeper(pid: int) -> bool:
    """Whether the process is a keeper (``… system/processes/keeper.py LINE …``)."""
    return any(word.endswith("loki_hooks/system/processes/keeper.py") for word in words_of(pid)[1:6])


def end_runs_for(worktree: Path, *, none_is_on: bool) -> None:
    """End what earlier runs for a worktree left running: those of dead runners; all, when the caller proves that ``none_is_on``.

    A process is one of theirs when it carries the mark of such a run, made for this worktree, or descends from one that does,
    a keeper first of all. That it works in the folder proves nothing: that may be a person's shell, or editor.
    Raises ``LokiError`` when one does not end.
    """
    import psutil

    mine = {pid for pid, _ in ancestors(own_pid())[0]}
    marks = set()
    for pid in psutil.pids():
        environment = started_with(pid)
        mark = variable(environment, SESSION_MARK)
        if RUN in mark and variable(environment, "LOKI_WORKTREE") == str(worktree) and pid not in mine:
            marks.add(mark)
    for mark in marks:
        number, _, started = mark.partition(RUN)[0].partition(":")
        runner = ProcessId(int(number) if number.isdigit() else -1, started)
        tree = SessionTree(runner, mark=mark)
        if (none_is_on or not is_alive(runner)) and not tree.end_with_keepers():
            pids = ", ".join(str(who.pid) for who in tree.living())
            raise LokiError(f"what an earlier run started in {worktree} does not end (pid {pids})", "end it by hand")


def is_worker(pid: int) -> bool:
    """Whether the process is a worker of ours."""
    return worker_of(pid) is not None
