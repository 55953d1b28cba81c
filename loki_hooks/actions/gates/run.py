"""Run a gate on a commit, in a worktree of the gate's own, and record the result as a fact about its tree.

One run at a time of a tree, and in each gate worktree (kernel locks). Dirt found before a run is somebody's: another
worktree is used. What the run left is ours: its processes end, its files go, ignored ones too (`run_made`). An interrupted
run leaves no result.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.gates.logs import keep_log, log_of
from loki_hooks.actions.gates.runners import Registered, end_orphans, waiting_for
from loki_hooks.actions.gates.worktrees import MAX_WORKTREES, prepare, tidy
from loki_hooks.actions.streams.setup import run_setup
from loki_hooks.actions.streams.worktree import bring_environment
from loki_hooks.domain.config import Gate
from loki_hooks.domain.gates.judging import judge, nothing_ran
from loki_hooks.domain.gates.results import GateResult, Outcome, command_text, tail_of
from loki_hooks.domain.secrets import Scrubber, without_credentials
from loki_hooks.errors import InterruptedRunError, LokiError
from loki_hooks.system.clock import now
from loki_hooks.system.files import open_fresh, write_atomic
from loki_hooks.system.json import dump_json, read_json
from loki_hooks.system.locks import BusyError, hold, try_hold
from loki_hooks.system.processes.alive import myself
from loki_hooks.system.processes.run import stopped_by
from loki_hooks.system.processes.session_tree import mark_of
from loki_hooks.system.processes.supervise import Ended, Output, supervise
from loki_hooks.system.store import events, gate_results
from loki_hooks.system.store.leases import NoPortsError, leased_ports
from loki_hooks.system.worktrees import variables
from loki_hooks.system.worktrees.run_made import Made, note_what_is_there, what_setup_made
from loki_hooks.system.worktrees.secrets import scrubber_for

_BUCKETS = 256
"""How many locks the trees share, so that lock files do not pile up: two trees of one bucket go one after the other."""
_KEEP_BYTES = 200_000
_PIECE = 1 << 20
_MOST_READ = 32 << 20
"""Bytes of an output, from its beginning and from its end, that are looked through for what ran."""
_LOOK = 0.1
"""Seconds: how often who waits for others' runs looks, at first twice as often."""


@dataclass(frozen=True)
class Job:
    """What is to be tested. ``echo`` gets the output as it comes; ``stop`` set ends the run without a result.

    ``places``: in how many worktrees of the gate there may be runs when this one is made; else it waits its turn, at
    most ``patience`` seconds (None: for ever). ``train``: a pass started it, and may end it.
    """

    gate: Gate
    commit: str
    tree: str
    subject: str = ""
    echo: Callable[[str], None] | None = None
    stop: threading.Event | None = None
    again: bool = False
    """Run also where a result is recorded."""
    setup: bool = True
    places: int = 1
    patience: float | None = None
    train: bool = False

    @property
    def stopped(self) -> bool:
        return self.stop is not None and self.stop.is_set()


def run_gate(context: Context, job: Job) -> tuple[GateResult, bool]:
    """Return the gate's result for the tree, and whether it was known already.

    Raises ``InterruptedRunError``, and ``BusyError`` when its turn does not come in time.
    """
    hashed = gate_results.hash_of(job.gate, context.config.in_force)
    end_orphans(context)
    until = None if job.patience is None else time.monotonic() + job.patience
    with _alone_with(context, job, hashed, until):
        known = gate_results.lookup(context.git, job.tree, job.gate, context.config.in_force)
        if known is not None and not job.again and known.outcome in {Outcome.PASSED, Outcome.FAILED}:
            return known, True
        return _run_somewhere(context, job, hashed, until), False


@contextlib.contextmanager
def _alone_with(context: Context, job: Job, hashed: str, until: float | None) -> Iterator[None]:
    """Hold the tree's lock while inside: who asks meanwhile for the same run waits, and then has its result."""
    bucket = int(hashlib.sha256(f"{job.tree}/{hashed}".encode()).hexdigest()[:8], 16) % _BUCKETS
    path = context.site.private / f"gate-tree-{bucket}.lock"
    lock = try_hold(path)
    if lock is not None:
        with lock:
            yield
        return
    with contextlib.nullcontext() if job.train else waiting_for(context, job.tree):
        while (lock := try_hold(path, timeout=0.5)) is None:
            _go_on(job, until)
        with lock:
            yield


def _go_on(job: Job, until: float | None) -> None:
    """Raise what ends waiting: the caller was told to stop, or its time is over."""
    if job.stopped:
        raise InterruptedRunError("the gate was stopped; it has no result")
    if until is not None and time.monotonic() > until:
        raise BusyError(f"the gate {job.gate.name} is busy with other runs", "try again when they have ended")


def _run_somewhere(context: Context, job: Job, hashed: str, until: float | None) -> GateResult:
    """Run the gate in the first of its worktrees that is free and holds nobody's changes; wait while others run in them."""
    unusable: dict[int, str] = {}
    pause = _LOOK / 2
    while True:
        busy = 0
        for number in range(1, MAX_WORKTREES + 1):
            if number in unusable:
                continue
            if busy == job.places:
                break
            lock = try_hold(context.site.private / f"gate-{job.gate.worktree}-{number}.lock")
            if lock is None:
                busy += 1
                continue
            with lock:
                path = context.worktree_of_gate(job.gate.worktree, number)
                try:
                    with stopped_by(job.stop):
                        why_not = prepare(
                            context,
                            path,
                            job.commit,
                            standing=job.gate.worktree if number == 1 else "",
                            fresh=job.gate.fresh,
                        )
                except InterruptedRunError:
                    raise
                except LokiError as error:
                    return could_not_run(context, job, error.message)
                if not why_not:
                    result = _run_in(context, job, path, hashed, number)
                    gate_results.store(context.git, result)
                    _publish(context, job, result)
                    return result
                unusable[number] = f"{path}: {why_not}"
        if not busy:
            told = "; ".join(unusable[number] for number in sorted(unusable))
            return could_not_run(context, job, f"none of the gate's {MAX_WORKTREES} worktrees can be used: {told}")
        _go_on(job, until)
        time.sleep(pause)
        pause = min(pause * 1.5, 1.0)


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
        command=without_credentials(command_text(job.gate.command)),
        gate_hash=hashed,
    )
    gate_results.store(context.git, result)
    _publish(context, job, result)
    return result


def _run_in(context: Context, job: Job, path: Path, hashed: str, number: int) -> GateResult:
    try:
        with leased_ports(context.config.in_force.environment.ports, path) as ports:
            return _run_with(context, job, path, hashed, ports, "" if number == 1 else f"-{number}")
    except NoPortsError as error:
        return could_not_run(context, job, error.message)


def _run_with(context: Context, job: Job, path: Path, hashed: str, ports: tuple[int, ...], suffix: str) -> GateResult:
    """Set the worktree up and run the command; ``suffix`` tells the logs of runs at the same time apart."""
    began = time.monotonic()
    config = context.config.in_force
    log = context.site.folder("logs") / f"gate-{job.gate.name}{suffix}.log"
    values = context.values(kind="testing", name=job.gate.worktree, stream=job.gate.worktree)
    runs = 0
    shown = scrubber_for(
        (context.site.main, path), (config.environment, context.config.working.environment), os.environ
    )
    try:
        note_what_is_there(path, job.gate.keep)
        if job.gate.environment and job.setup:
            bring_environment(context, path, config.environment)
        if job.setup:
            run_setup(
                context,
                path,
                config.environment,
                stream=job.gate.worktree,
                branch="",
                values=values,
                log=context.site.folder("logs") / f"setup-{job.gate.worktree}{suffix}.log",
                ports=ports,
                stop=job.stop,
                mark=_mark_of_run(path),
            )
        env = variables.variables(
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
        tidy(context, path)
        if job.stopped:
            raise InterruptedRunError("the gate was stopped in its set-up; it has no result") from error
        reason = shown.scrub(f"set-up failed: {error.message}")
        return replace(could_not_run(context, job, reason), tail=shown.scrub(error.hint or ""))
    made: Made | None = None
    try:
        made = what_setup_made(path)
        failed_before = False
        while True:
            runs += 1
            ended, output = _execute(context, job, path, env, log, shown)
            if job.stopped:
                raise InterruptedRunError("the gate was stopped; it has no result")
            outcome, reason = judge(ended.code, timed_out=ended.timed_out, empty=nothing_ran(_pieces(log)))
            if outcome is Outcome.PASSED and failed_before:
                outcome, reason = Outcome.FLAKY, f"it failed, then passed at run {runs} of the same tree"
            if outcome in {Outcome.FAILED, Outcome.COULD_NOT_RUN}:
                keep_log(log, log_of(context.site, job.tree, job.gate.name))
            if outcome is not Outcome.FAILED or runs > job.gate.retries:
                break
            failed_before = True
        if outcome is not Outcome.PASSED and _passes_with_environment(context, job, path, env, log, shown):
            reason += (
                f"; it passes with the files that streams get: say `environment = true` in [gates.{job.gate.name}]"
            )
        result = GateResult(
            job.gate.name, job.tree, job.commit, outcome, ended.code, 0.0, now(), reason, tail_of(shown.scrub(output))
        )
    except InterruptedRunError:
        raise
    except LokiError as error:
        result = GateResult(job.gate.name, job.tree, job.commit, Outcome.COULD_NOT_RUN, None, 0.0, now(), error.message)
    finally:
        tidy(context, path, made)
    return replace(
        result,
        seconds=round(time.monotonic() - began, 3),
        command=without_credentials(command_text(job.gate.command)),
        gate_hash=hashed,
        runs=max(runs, 1),
    )


def _passes_with_environment(
    context: Context, job: Job, path: Path, env: Mapping[str, str], log: Path, shown: Scrubber
) -> bool:
    """Whether the command fails on the integration branch only for lack of the untracked files that streams get.

    Those stay until the run is tidied up; a run with them proves nothing of the tree.
    """
    tip = context.git.commit_id(context.integration_ref)
    if job.gate.environment or not job.setup or tip is None or context.git.tree_id(tip) != job.tree:
        return False
    try:
        brought, _ = bring_environment(context, path, context.config.in_force.environment)
        if not brought:
            return False
        ended, _ = _execute(context, job, path, env, log.with_suffix(".environment.log"), shown)
    except LokiError:
        return False
    return ended.code == 0 and not ended.timed_out and not job.stopped


def _execute(
    context: Context, job: Job, path: Path, env: Mapping[str, str], log: Path, shown: Scrubber
) -> tuple[Ended, str]:
    """Run the command to its end; return how it ended, and the end of its output. ``shown`` is what ``echo`` may get."""
    command = job.gate.command
    argv = ["sh", "-c", command] if isinstance(command, str) else list(command)
    mark = _mark_of_run(path)
    tell = job.echo
    echo = None if tell is None else lambda text: tell(shown.feed(text))
    with Registered(context, job.gate.name, job.commit, job.tree, mark) as run, open_fresh(log) as sink:
        output = Output(sink, echo=echo, keep=_KEEP_BYTES)
        timeout = job.gate.timeout
        ended = supervise(
            argv, cwd=path, env=env, mark=mark, output=output, timeout=timeout, stop=job.stop, begun=run.child
        )
    if tell is not None:
        tell(shown.rest())
    return ended, output.text


def _pieces(log: Path) -> Iterator[str]:
    """Yield an output from its file; of a very large one, the beginning and the end."""
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with log.open("rb") as file:
        size = log.stat().st_size
        while piece := file.read(_PIECE):
            yield decoder.decode(piece)
            if file.tell() == _MOST_READ and size > 2 * _MOST_READ:
                file.seek(size - _MOST_READ)
                yield "\n"


def _mark_of_run(path: Path) -> str:
    """Return the mark of a run in this worktree, for the processes of its set-up and its command."""
    return mark_of(myself(), path.name)


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
    with hold(path.parent / ".test-results.lock"):
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
            write_atomic(path, dump_json(known), mode=0o600)
        except LokiError as error:  # it only shows; the result itself is a ref
            events.record(context.site, "results-not-shown", subject, detail=error.message)


def shown_results(context: Context) -> dict[str, tuple[str, str]]:
    """Return of which commit and tree each stream's last shown results are."""
    value = read_json(context.site.loki / "state" / "test-results.json")
    entries = value.items() if isinstance(value, dict) else ()
    return {
        stream: (str(entry.get("commit")), str(entry.get("tree")))
        for stream, entry in entries
        if isinstance(entry, dict)
    }


def on_signals(stop: threading.Event) -> None:
    """Make TERM, HUP and INT set ``stop``, so that a run ends in order. Main thread only.

    One that whoever started us had us ignore (nohup, a shell script's background) changes nothing still. But it has a handler:
    a program inherits what is ignored, and what a gate says must not depend on who asked.
    """
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        ignored = signal.getsignal(number) is signal.SIG_IGN
        signal.signal(number, (lambda *_: None) if ignored else (lambda *_: stop.set()))
