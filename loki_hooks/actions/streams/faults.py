"""What fails costs its own stream only: remembered, told once, tried again ever more seldom, given up after three times.

Any exception counts, but for those that end the process and for a run that was told to stop. The traceback is in
``.loki/logs/hooks.log``; the record says the reason in words (``domain/streams/failures.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from loki_hooks.actions.context import Context
from loki_hooks.domain.reconcile.base import MainStep, StreamStep
from loki_hooks.domain.reconcile.outcome import StepOutcome, failed
from loki_hooks.domain.streams.failures import GIVE_UP, LOOK, Failure, delay_after, in_words, with_failure
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import LIVING, Status
from loki_hooks.errors import GitFailedError, IllegalMoveError, InterruptedRunError, LokiError
from loki_hooks.system.clock import later, seconds_since
from loki_hooks.system.store import events
from loki_hooks.system.store.fault_log import log_fault

MAIN = "main"
T = TypeVar("T")


class StreamFaultError(LokiError):
    """A step about several streams failed because of this one."""

    def __init__(self, stream: str, error: Exception) -> None:
        super().__init__(in_words(error), getattr(error, "hint", None))
        self.stream = stream
        self.error = error


@contextmanager
def because_of(stream: str) -> Iterator[None]:
    """Blame what fails inside on the stream. Raises ``StreamFaultError``."""
    try:
        yield
    except (InterruptedRunError, StreamFaultError):
        raise
    except Exception as error:
        raise StreamFaultError(stream, error) from error


def is_put_off(failure: Failure) -> bool:
    """Whether it is too early to try again. A time too far ahead was written by a wrong clock: then it is not."""
    age = seconds_since(failure.not_before)
    return age is not None and -delay_after(failure.times) <= age < 0


def put_off(record: StreamRecord | None) -> frozenset[str]:
    """Return what of the stream's failed, and is not to be tried again yet. A look is tried always, but not told."""
    return frozenset(what for what, f in record.failures.items() if is_put_off(f)) if record else frozenset()


def owner_of(step: StreamStep | MainStep) -> str:
    """Return the stream in whose record a failure of the step is kept."""
    return step.stream or MAIN


def step_failed(context: Context, step: StreamStep | MainStep, error: Exception) -> StepOutcome:
    """Remember that the step failed, say so, and give its stream up to a person after three times."""
    stream, key = owner_of(step), step.key
    if isinstance(error, StreamFaultError):
        stream, error, key = error.stream, error.error, step.word
    reason = in_words(error)
    if not isinstance(error, LokiError) or _says_more(error):
        log_fault(context.site, f"step {step.word} {stream}", error)
    outcome = failed(reason, fail(context, stream, key, reason, at_once=isinstance(error, IllegalMoveError)))
    evidence = {"step": step.word, "hint": getattr(error, "hint", None) or "", "retry_after": outcome.retry_after}
    events.record(context.site, "step-failed", "" if stream == MAIN else stream, detail=reason, evidence=evidence)
    return outcome


def _says_more(error: LokiError) -> bool:
    """Whether git said more than the one line that a reason has room for."""
    return isinstance(error, GitFailedError) and len(error.stderr.strip().splitlines()) > 1


def fail(context: Context, stream: str, what: str, reason: str, *, at_once: bool = False) -> float:
    """Record a failure in the stream's record (if it still has one); return the seconds until the next try."""
    seconds = delay_after(1)

    def change(state: State) -> State:
        nonlocal seconds
        record = state.streams.get(stream)
        if record is None:  # it is gone, and its failure with it
            return state
        before = record.failures.get(what)
        times = GIVE_UP if at_once else (before.times if before else 0) + 1
        seconds = delay_after(times)
        record = replace(record, failures=with_failure(record.failures, what, Failure(times, later(seconds), reason)))
        return state.with_stream(_told(record, what, times, reason))

    try:
        context.store.update(change)
    except (LokiError, OSError) as error:  # a full disk, say: the next pass meets it again, and that is all
        events.record(context.site, "failure-not-kept", stream, detail=in_words(error))
    return seconds


def _told(record: StreamRecord, what: str, times: int, reason: str) -> StreamRecord:
    """Return the record with what failed as its reason, in a person's hands after ``GIVE_UP`` times."""
    if record.standing:
        return record
    if what == LOOK:
        return replace(record, reason=f"it cannot be looked at, so it is left alone: {reason}")
    if times < GIVE_UP or record.status not in LIVING:
        return replace(record, reason=f"{what} failed ({_count(times)}): {reason}")
    text = f"{what} failed {_count(times)}, it is yours now: {reason}"
    return replace(record, status=Status.ESCALATED, reason=text)


def _count(times: int) -> str:
    return "once" if times == 1 else "twice" if times == 2 else f"{times} times"


def worked(context: Context, stream: str, what: str) -> None:
    """Forget that it failed, if it had."""

    def change(state: State) -> State:
        record = state.streams.get(stream)
        if record is None or what not in record.failures:
            return state
        left = {key: failure for key, failure in record.failures.items() if key != what}
        return state.with_stream(replace(record, failures=left))

    record = context.store.read().streams.get(stream)
    if record is not None and what in record.failures:
        context.store.update(change)


def contained(context: Context, what: str, do: Callable[[], T]) -> T | None:
    """Return what ``do`` gives, None when it raises: then that is told once, until it works or fails otherwise."""
    try:
        result = do()
    except InterruptedRunError:
        raise
    except Exception as error:  # noqa: BLE001  nothing else may stop because of it
        reason = in_words(error)
        main = context.store.read().streams.get(MAIN)
        before = main.failures.get(what) if main else None
        if before is None or (before.reason != reason and not is_put_off(before)):
            log_fault(context.site, what, error)
            events.record(context.site, "chore-failed", detail=reason, evidence={"chore": what})
            fail(context, MAIN, what, reason)
        return None
    worked(context, MAIN, what)
    return result
