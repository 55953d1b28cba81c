"""Read what a stream's session printed, as its runner kept it in ``.loki/logs/session-<stream>.log``."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.gates.logs import log_of as log_of_gate
from loki_hooks.actions.sessions.tmux import attach_command, is_shown
from loki_hooks.domain.gates.results import GateResult
from loki_hooks.domain.names import flat, is_name
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import Status
from loki_hooks.errors import LokiError
from loki_hooks.system.files import entries, open_plain
from loki_hooks.system.json import read_json
from loki_hooks.system.processes.alive import is_alive
from loki_hooks.system.site import Site

Say = Callable[[str], None]
_CHUNK = 1 << 16
_PAUSE = 0.1
_LOOKS_PER_STATE = 5


def log_of(site: Site, stream: str) -> Path:
    """Return where the log of the stream's session is, or will be."""
    return site.loki / "logs" / f"session-{stream}.log"


def how_to_attach(context: Context, record: StreamRecord) -> str:
    """Return what a person types to attach to the session, '' when nothing shows it in tmux."""
    shown = record.tmux and is_alive(record.session) and is_shown(context, record)
    return attach_command(context, record) if shown else ""


def read(context: Context, record: StreamRecord, *, say: Say) -> Iterator[bytes]:
    """Yield the log as it is now; of an archived stream what the archive has. Raises ``LokiError`` when there is none."""
    path = log_of(context.site, record.stream)
    log = open_plain(path)
    if log is None and record.status is Status.ARCHIVED:
        archived = _archived(context.site, record.stream, path.name)
        if archived is not None:
            say(f"{record.stream} is archived; its log is {archived}")
            log = open_plain(archived)
    if log is None:
        raise LokiError(f"the stream {record.stream} has no log", _why_none(record))
    try:
        yield from _rest(log)
    finally:
        os.close(log)


def of_gates(context: Context, record: StreamRecord) -> Iterator[bytes]:
    """Yield what the gates printed when they ran for the stream last: all of it where one did not pass, else the end.

    Raises ``LokiError`` when none has run for it.
    """
    value = read_json(context.site.loki / "state" / "test-results.json")
    entry = value.get(record.stream) if isinstance(value, dict) else None
    gates = entry.get("gates") if isinstance(entry, dict) else None
    results = [GateResult.from_json(found) for found in gates.values()] if isinstance(gates, dict) else []
    known = [result for result in results if result is not None]
    if not known:
        raise LokiError(f"no gate has run for {record.stream} yet", f"`loki-hooks test {record.name}` runs them")
    for result in known:
        why = f" ({result.reason})" if result.reason else ""
        yield f"# {result.gate} {result.outcome}{why} on the tree {result.tree[:12]}: {result.command}\n".encode()
        named = is_name(result.gate) and not result.tree.strip("0123456789abcdef")
        log = open_plain(log_of_gate(context.site, result.tree, result.gate)) if named else None
        if log is None:
            yield f"{result.tail.rstrip()}\n".encode("utf-8", "surrogateescape")
            continue
        try:
            yield from _rest(log)
        finally:
            os.close(log)


def follow(context: Context, record: StreamRecord, *, say: Say) -> Iterator[bytes]:
    """Yield the log as it grows, the next run's log too, until no session of the stream is left and all is shown."""
    stream = record.stream
    path = log_of(context.site, stream)
    log: int | None = None
    looks = 0
    waiting = True
    try:
        while True:
            ended = looks % _LOOKS_PER_STATE == 0 and not _goes_on(context, stream)  # asked before the last read
            looks += 1
            if log is not None and _is_another(log, path):
                yield from _rest(log)
                os.close(log)
                log = None
            if log is None:
                log = open_plain(path)
            if log is not None:
                yield from _rest(log)
            if ended:
                break
            if log is None and waiting:
                say(f"the session of {stream} has not begun; waiting")
            waiting = False
            time.sleep(_PAUSE)
    finally:
        if log is not None:
            os.close(log)


def _rest(log: int) -> Iterator[bytes]:
    while chunk := os.read(log, _CHUNK):
        yield chunk


def _why_none(record: StreamRecord) -> str:
    if record.status is Status.QUEUED:
        return "it waits for a free place; `-f` waits with it"
    return "no session of ours ran in it"


def _archived(site: Site, stream: str, file: str) -> Path | None:
    """Return where the log of the stream is since it was archived, the last time if it was more than once."""
    times = re.compile(re.escape(flat(stream)) + r"-\d{8}T\d+Z")
    folders = [entry.name for entry in entries(site.loki / "archive") if times.fullmatch(entry.name)]
    return site.loki / "archive" / max(folders) / file if folders else None


def _goes_on(context: Context, stream: str) -> bool:
    record = context.store.read().streams.get(stream)
    if record is None:
        return False
    return record.status is Status.QUEUED or is_alive(record.session) or is_alive(record.claim)


def _is_another(log: int, path: Path) -> bool:
    """Whether another file has taken the log's place, or the log was cut."""
    mine = os.fstat(log)
    try:
        there = path.lstat()
    except OSError:
        return False
    return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino) or there.st_size < os.lseek(log, 0, os.SEEK_CUR)
