"""`loki-hooks logs`: what a stream's session printed, as its runner kept it in ``.loki/logs/session-<stream>.log``.

An agent's output is not ours. To a pipe or a file its bytes go unchanged; a terminal gets colours, line breaks and
tabs, and every other control character escaped, so that no log can retitle a window, fill a clipboard or hide what
stands before it.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
import sys
import time
from typing import TYPE_CHECKING

import click

from loki_hooks.cli.console import answer, printable, say
from loki_hooks.domain.names import flat, nearest, shown
from loki_hooks.domain.streams.status import Status
from loki_hooks.errors import BadInputError, LokiError
from loki_hooks.system.files import entries, link_on_way
from loki_hooks.system.processes.alive import is_alive
from loki_hooks.system.site import Site, require_enabled
from loki_hooks.system.store.state import StateStore

if TYPE_CHECKING:
    from pathlib import Path

    from loki_hooks.domain.streams.record import StreamRecord

_CHUNK = 1 << 16
_PAUSE = 0.1
_LOOKS_PER_STATE = 5
_COLOUR = re.compile(r"(\x1b\[[0-9;:]{0,32}m)")
_UNFINISHED = re.compile(r"(\x1b(\[[0-9;:]{0,32})?|\r)\Z")
"""A chunk's end that only the next chunk explains: the head of an escape sequence, or of a CR LF."""


@click.command("logs")
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Go on until the session has ended.")
@click.option("--path", "only_path", is_flag=True, help="Print where the log is instead.")
def logs(name: str, follow: bool, only_path: bool) -> None:
    """Print what the session of the stream NAME (a name, an id or a branch) has printed.

    Of an archived stream it is what the archive has. A terminal is shown colours but no other control sequence; a pipe
    gets the bytes as they are.
    """
    site = require_enabled()
    record = _require_stream(site, name)
    path = site.loki / "logs" / f"session-{record.stream}.log"
    if only_path:
        answer(str(path))
        return
    if record.tmux and is_alive(record.session):
        from loki_hooks.actions.context import Context
        from loki_hooks.actions.sessions.tmux import attach_command, is_shown

        if is_shown(Context(site), record):
            say(f"to watch it in tmux, and type to it: {attach_command(Context(site), record)}")
    shower = _Shower()
    try:
        if follow:
            _follow(site, record.stream, path, shower)
        else:
            _show_once(site, record, path, shower)
    finally:
        shower.end()


def _require_stream(site: Site, word: str) -> StreamRecord:
    state = StateStore(site).read()
    record = state.find(word)
    if record is None:
        near = nearest(word, {*state.streams, *(r.name for r in state.streams.values())})
        meant = f"did you mean {near}? " if near else ""
        raise BadInputError(f"there is no stream {shown(word)}", f"{meant}`loki-hooks status` lists them")
    return record


def _why_none(record: StreamRecord) -> str:
    if record.status is Status.QUEUED:
        return "it waits for a free place; `-f` waits with it"
    return "no session of ours ran in it"


def _archived(site: Site, stream: str, file: str) -> Path | None:
    """Return where the log of the stream is since it was archived, the last time if it was more than once."""
    times = re.compile(re.escape(flat(stream)) + r"-\d{8}T\d+Z")
    folders = [entry.name for entry in entries(site.loki / "archive") if times.fullmatch(entry.name)]
    return site.loki / "archive" / max(folders) / file if folders else None


def _open(path: Path) -> int | None:
    """Return a descriptor of the log, or None when there is none; a link, a folder or a FIFO is no log."""
    if link_on_way(path.parent) is not None:
        return None
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    return None


def _show_once(site: Site, record: StreamRecord, path: Path, shower: _Shower) -> None:
    log = _open(path)
    if log is None and record.status is Status.ARCHIVED:
        archived = _archived(site, record.stream, path.name)
        if archived is not None:
            say(f"{record.stream} is archived; its log is {archived}")
            log = _open(archived)
    if log is None:
        raise LokiError(f"the stream {record.stream} has no log", _why_none(record))
    try:
        _drain(log, shower)
    finally:
        os.close(log)


def _drain(log: int, shower: _Shower) -> None:
    while chunk := os.read(log, _CHUNK):
        shower.show(chunk)


def _follow(site: Site, stream: str, path: Path, shower: _Shower) -> None:
    """Show the log as it grows, the next run's log too, until no session of the stream is left and all is shown."""
    log: int | None = None
    looks = 0
    waiting = True
    try:
        while True:
            ended = looks % _LOOKS_PER_STATE == 0 and not _goes_on(site, stream)  # asked before the last read
            looks += 1
            if log is not None and _is_another(log, path):
                _drain(log, shower)
                os.close(log)
                log = None
            if log is None:
                log = _open(path)
            if log is not None:
                _drain(log, shower)
            if ended:
                break
            if log is None and waiting:
                say(f"the session of {stream} has not begun; waiting")
            waiting = False
            time.sleep(_PAUSE)
    finally:
        if log is not None:
            os.close(log)


def _goes_on(site: Site, stream: str) -> bool:
    record = StateStore(site).read().streams.get(stream)
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


class _Shower:
    """Writes chunks of a log to stdout; keeps back what a chunk leaves unfinished."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def show(self, chunk: bytes) -> None:
        if not self._terminal:
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            return
        text = self._rest + self._decoder.decode(chunk)
        unfinished = _UNFINISHED.search(text)
        cut = unfinished.start() if unfinished else len(text)
        self._rest = text[cut:]
        self._write(text[:cut])

    def end(self) -> None:
        if self._terminal:
            self._write(self._rest + self._decoder.decode(b"", final=True) + "\x1b[0m")

    def _write(self, text: str) -> None:
        sys.stdout.write(for_terminal(text))
        sys.stdout.flush()


def for_terminal(text: str) -> str:
    """Return ``text`` with nothing for a terminal to obey but colours, line breaks (a lone CR is one) and tabs."""
    parts = _COLOUR.split(text.replace("\r\n", "\n").replace("\r", "\n"))
    return "".join(part if index % 2 else printable(part) for index, part in enumerate(parts))
