"""Run a gate on a commit, in a worktree of the gate's own, and record the result as a fact about its tree.

One run at a time in each gate worktree (a kernel lock). Dirt found before a run is somebody's: another
worktree is used. Dirt that the run left is ours: it is cleaned, ignored files excepted (caches stay warm). An
interrupted run leaves no result.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.setup import run_setup
from loki_hooks.domain.config import Gate
from loki_hooks.domain.gates import GateResult, Outcome, command_text, judge, tail_of
from loki_hooks.domain.status import Status
from loki_hooks.domain.streams import ProcessId, StreamRecord
from loki_hooks.errors import LokiError
from loki_hooks.system import environment as env_files
from loki_hooks.system import events, gate_results
from loki_hooks.system.clock import now
from loki_hooks.system.files import dump_json, held, open_fresh, read_json, read_plain, write_atomic
from loki_hooks.system.git import Git, list_worktrees
from loki_hooks.system.leases import NoPortsError, leased_ports
from loki_hooks.system.processes import identify, is_alive, kill_group, myself, start_child, wait_until_gone
from loki_hooks.system.worktrees import add, forget_missing, git_dir_of, operation_in

MAX_WORKTREES = 4
STARTING = "gate-starting.json"
"""In ``state/``: the runner that a pass started last."""
_KEEP_BYTES = 200_000
_LOOK = 0.1
_DRAIN = 1.0
"""Seconds: how often a running command is looked at; how long its output is read on after its end."""
_MARK = "loki-gate"
"""In a gate worktree's git dir: the commit that we checked out there last, and ``running`` until that run is tidied up."""


class InterruptedRunError(LokiError):
    """The run was told to stop: it has no result."""


@dataclass(frozen=True)
class Job:
    """What is to be tested. ``echo`` gets the output as it comes; ``stop`` set ends the run without a result."""

    gate: Gate
    commit: str
    tree: str
    subject: str = ""
    echo: Callable[[str], None] | None = None
    stop: threading.Event | None = None
    again: bool = False
    """Run also where a result is recorded."""
    setup: bool = True


def run_gate(context: Context, job: Job) -> tuple[GateResult, bool]:
    """Return the gate's result for the tree, and whether it was known already. Raises ``InterruptedRunError``."""
    hashed = gate_results.hash_of(job.gate, context.config.in_force)
    _end_orphans(context)
    for number in range(1, MAX_WORKTREES + 1):
        with held(context.site.private / f"gate-{job.gate.worktree}-{number}.lock"):
            known = gate_results.lookup(context.git, job.tree, job.gate, context.config.in_force)
            if known is not None and not job.again and known.outcome in {Outcome.PASSED, Outcome.FAILED}:
                return known, True
            path = context.worktree_of_gate(job.gate.worktree, number)
            try:
                usable = _prepare(context, path, job.commit, standing=job.gate.worktree if number == 1 else "")
            except LokiError as error:
                return could_not_run(context, job, error.message), False
            if not usable:
                continue
            result = _run_in(context, job, path, hashed)
            gate_results.store(context.git, result)
            _publish(context, job, result)
            return result, False
    return could_not_run(context, job, f"all {MAX_WORKTREES} worktrees of the gate hold somebody's changes"), False


def could_not_run(context: Context, job: Job, reason: str) -> GateResult:
    """Record that the gate could not be run on the tree, and return that."""
    hashed = gate_results.hash_of(job.gate, context.config.in_force)
    result = GateResult(
        job.gate.name,
        job.tree,
        job.commit,
        Outcome.COULD_NOT_RUN,
        None,
        0.0,
        now(),
        reason,
        command=command_text(job.gate.command),
        gate_hash=hashed,
    )
    gate_results.store(context.git, result)
    _publish(context, job, result)
    return result


def _prepare(context: Context, path: Path, commit: str, standing: str) -> bool:
    """Bring the worktree at ``path`` to ``commit``, detached; make it if need be. Return False when it is not ours to use."""
    entry = next((w for w in list_worktrees(context.git) if w.path == path), None)
    if entry is None or not path.is_dir():
        if os.path.lexists(path) and (path.is_symlink() or not path.is_dir() or any(path.iterdir())):
            return False
        _make(context, path, commit, standing)
    git = Git(path)
    mark = git_dir_of(path) / _MARK
    ours, _, running = (read_plain(mark) or b"").decode("ascii", "replace").strip().partition(" ")
    here = git.commit_id("HEAD") or ""
    if running and ours == here and git.maybe("symbolic-ref", "-q", "HEAD") is None:
        _tidy(context, git, path)  # a run of ours was killed here: what it left is ours
    if operation_in(git_dir_of(path)) or git.out("status", "--porcelain", "-z", "--untracked-files=all"):
        return False
    detached = git.maybe("symbolic-ref", "-q", "HEAD") is None
    if detached and here != ours and not git.out("for-each-ref", "--count=1", "--contains", "HEAD"):
        return False  # somebody's commit that no branch has
    write_atomic(mark, f"{commit} running\n")
    git.out("checkout", "--quiet", "--detach", commit, timeout=1800)
    return True


def _make(context: Context, path: Path, commit: str, standing: str) -> None:
    """Make a gate worktree; the first one of the gate ``testing`` rests on the testing stream's branch."""
    forget_missing(context.site, path)
    branch = ""
    if standing == "testing":
        values = context.values(kind="testing", name="testing", stream="testing")
        branch = context.branch_for("testing", values, "testing")
    tip = context.git.commit_id(context.integration_ref) or commit
    if branch and context.git.commit_id(f"refs/heads/{branch}") is None:
        add(context.site, path, branch, tip, new_branch=True)
    elif branch and not any(w.branch == branch for w in list_worktrees(context.git)):
        add(context.site, path, branch, tip, new_branch=False)
    else:
        add(context.site, path, "", commit, new_branch=False)
    if branch:
        keep_testing(context)


def keep_testing(context: Context) -> None:
    """See to it that the state knows the testing stream whenever its worktree is there: it may have lost it."""
    if "testing" in context.store.read().streams:
        return
    values = context.values(kind="testing", name="testing", stream="testing")
    branch = context.branch_for("testing", values, "testing")
    path = context.worktree_of_gate("testing")
    tip = context.git.commit_id(f"refs/heads/{branch}")
    if tip is None or not any(w.path == path and w.branch in {branch, ""} for w in list_worktrees(context.git)):
        return
    record = StreamRecord("testing", "testing", Status.WATCHING, str(path), branch, base=tip, created_at=now())
    context.store.update(lambda state: state if "testing" in state.streams else state.with_stream(record))


def _run_in(context: Context, job: Job, path: Path, hashed: str) -> GateResult:
    try:
        with leased_ports(context.config.in_force.environment.ports, path) as ports:
            return _run_with(context, job, path, hashed, ports)
    except NoPortsError as error:
        return could_not_run(context, job, error.message)


def _run_with(context: Context, job: Job, path: Path, hashed: str, ports: tuple[int, ...]) -> GateResult:
    began = time.monotonic()
    config = context.config.in_force
    git = Git(path)
    log = context.site.folder("logs") / f"gate-{job.gate.name}.log"
    values = context.values(kind="testing", name=job.gate.worktree, stream=job.gate.worktree)
    runs = 0
    try:
        if job.setup:
            run_setup(
                context,
                path,
                config.environment,
                stream=job.gate.worktree,
                branch="",
                values=values,
                log=context.site.folder("logs") / f"setup-{job.gate.worktree}.log",
                ports=ports,
                stop=job.stop,
            )
        env = env_files.variables(
            path,
            main=context.site.root,
            stream=job.gate.worktree,
            branch="",
            environment=config.environment,
            values=values,
            ports=ports,
        )
    except InterruptedRunError:
        raise
    except LokiError as error:
        _tidy(context, git, path)
        return replace(could_not_run(context, job, f"set-up failed: {error.message}"), tail=error.hint or "")
    try:
        failed_before = False
        while True:
            runs += 1
            code, timed_out, output = _execute(context, job, path, env, log)
            if job.stop is not None and job.stop.is_set():
                raise InterruptedRunError("the gate was stopped; it has no result")
            outcome, reason = judge(code, timed_out=timed_out, output=output)
            if outcome is Outcome.PASSED and failed_before:
                outcome, reason = Outcome.FLAKY, f"it failed, then passed at run {runs} of the same tree"
            if outcome is not Outcome.FAILED or runs > job.gate.retries:
                break
            failed_before = True
        result = GateResult(job.gate.name, job.tree, job.commit, outcome, code, 0.0, now(), reason, tail_of(output))
    except InterruptedRunError:
        raise
    except LokiError as error:
        result = GateResult(job.gate.name, job.tree, job.commit, Outcome.COULD_NOT_RUN, None, 0.0, now(), error.message)
    finally:
        _tidy(context, git, path)
    return replace(
        result,
        seconds=round(time.monotonic() - began, 3),
        command=command_text(job.gate.command),
        gate_hash=hashed,
        runs=max(runs, 1),
    )


def _execute(context: Context, job: Job, path: Path, env: Mapping[str, str], log: Path) -> tuple[int, bool, str]:
    """Run the command to its end; return (exit status, timed out, the output's end)."""
    command = job.gate.command
    argv = ["sh", "-c", command] if isinstance(command, str) else list(command)
    with _running(context, job) as register, open_fresh(log) as sink:
        child = start_child(argv, cwd=path, env=env)
        register(child.pid)
        deadline = time.monotonic() + job.gate.timeout
        timed_out = False
        kept = bytearray()
        assert child.stdout is not None
        with child.stdout as pipe:
            reading, ended = True, 0.0
            while reading or not ended:
                if not ended and child.poll() is not None:
                    ended = time.monotonic()
                    kill_group(child.pid)  # what the tests left running: it may hold the pipe
                if not ended and (time.monotonic() > deadline or (job.stop is not None and job.stop.is_set())):
                    timed_out = not (job.stop is not None and job.stop.is_set())
                    kill_group(child.pid, grace=2)
                    child.wait()
                    continue
                if not reading:
                    time.sleep(_LOOK)
                elif select.select([pipe], [], [], 0 if ended else _LOOK)[0]:
                    chunk = os.read(pipe.fileno(), 65536)
                    sink.write(chunk)
                    sink.flush()
                    kept += chunk
                    del kept[:-_KEEP_BYTES]
                    if job.echo is not None:
                        job.echo(chunk.decode("utf-8", "replace"))
                    reading = bool(chunk) and not (ended and time.monotonic() > ended + _DRAIN)
                elif ended:
                    reading = False  # somebody in a session of its own holds the pipe: it is not waited for
        kill_group(child.pid)
    return child.returncode, timed_out, kept.decode("utf-8", "replace")


@contextlib.contextmanager
def _running(context: Context, job: Job) -> Iterator[Callable[[int], None]]:
    """Say in ``state/gate-runs/`` that this run is under way."""
    path = context.site.folder("state", "gate-runs") / f"{job.gate.name}.{os.getpid()}.json"

    def register(pid: int) -> None:
        child = identify(pid)
        write_atomic(
            path,
            dump_json(
                {
                    "runner": myself().to_json(),
                    "child": child.to_json() if child else None,
                    "gate": job.gate.name,
                    "commit": job.commit,
                    "tree": job.tree,
                    "started_at": now(),
                }
            ),
        )

    try:
        yield register
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def _end_orphans(context: Context) -> None:
    """End what killed runners left running: it would go on writing in the worktree that is about to be used."""
    for path in (context.site.loki / "state" / "gate-runs").glob("[!.]*.json"):
        entry = read_json(path)
        if isinstance(entry, dict) and is_alive(ProcessId.from_json(entry.get("runner"))):
            continue
        orphan = ProcessId.from_json(entry.get("child")) if isinstance(entry, dict) else None
        if orphan is not None and is_alive(orphan):
            kill_group(orphan.pid)
            wait_until_gone([orphan], 5)
        with contextlib.suppress(OSError):
            path.unlink()


def _tidy(context: Context, git: Git, path: Path) -> None:
    """Clean what our own run left (never ignored files) and bring the testing stream back to rest.

    ``--force`` twice takes repositories that tests made too; the tree was clean when the run began.
    """
    git.run("reset", "--hard", "--quiet")
    git.run("clean", "-d", "--force", "--force", "--quiet")
    mark = git_dir_of(path) / _MARK
    commit = (read_plain(mark) or b"").decode("ascii", "replace").partition(" ")[0].strip()
    write_atomic(mark, f"{commit}\n")
    rest(context, path)


def rest(context: Context, path: Path) -> None:
    """Put the testing worktree on its branch at the integration branch's tip. A branch with own commits is left alone."""
    record = context.store.read().streams.get("testing")
    if record is None or not record.branch or Path(record.path) != path:
        return
    git = Git(path)
    tip = git.commit_id(context.integration_ref)
    at = git.commit_id(f"refs/heads/{record.branch}")
    if tip is None or at is None or not git.is_ancestor(at, tip):
        return
    if git.run("checkout", "--quiet", record.branch, timeout=1800).returncode == 0 and at != tip:
        git.run("merge", "--ff-only", "--quiet", "--no-autostash", tip, timeout=1800)


def gate_under_way(context: Context) -> bool:
    """Return whether a gate is being run now, or its runner was started and has not come so far yet."""
    state = context.site.loki / "state"
    for path in (state / STARTING, *sorted((state / "gate-runs").glob("[!.]*.json"))):
        value = read_json(path)
        if isinstance(value, dict) and is_alive(ProcessId.from_json(value.get("runner"))):
            return True
    return False


def _publish(context: Context, job: Job, result: GateResult) -> None:
    show_results(context, job.subject or context.integration, [result])
    events.record(
        context.site,
        f"gate-{result.outcome}",
        job.subject,
        commit=result.commit,
        detail=result.reason,
        evidence={"gate": result.gate, "tree": result.tree, "seconds": result.seconds, "runs": result.runs},
    )


def show_results(context: Context, subject: str, results: Iterable[GateResult]) -> None:
    """Show the last results of a stream to people and agents, in ``state/test-results.json``."""
    path = context.site.folder("state") / "test-results.json"
    with held(path.parent / ".test-results.lock"):
        value = read_json(path)
        known = value if isinstance(value, dict) else {}
        for result in results:
            entry = known.get(subject)
            gates = dict(entry["gates"]) if isinstance(entry, dict) and isinstance(entry.get("gates"), dict) else {}
            gates[result.gate] = result.to_json()
            known[subject] = {
                "stream": subject,
                "outcome": result.outcome.value,
                "commit": result.commit,
                "tree": result.tree,
                "finished_at": result.finished_at,
                "gates": gates,
            }
        try:
            write_atomic(path, dump_json(known))
        except LokiError as error:  # it only shows; the result itself is a ref
            events.record(context.site, "results-not-shown", subject, detail=error.message)


def on_signals(stop: threading.Event) -> None:
    """Make TERM, HUP and INT set ``stop``, so that a run ends in order. Main thread only."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
