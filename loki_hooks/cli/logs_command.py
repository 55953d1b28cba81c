"""`loki-hooks logs`: what a stream's session printed, as its runner kept it in ``.loki/logs/session-<stream>.log``.

An agent's output is not ours. To a pipe or a file its bytes go unchanged; a terminal gets colours, line breaks and
tabs, and every other control character escaped, so that no log can retitle a window, fill a clipboard or hide what
stands before it.
"""

from __future__ import annotations

import codecs
import re
import sys

import click

from loki_hooks.actions.context import Context
from loki_hooks.actions.view import log
from loki_hooks.cli.console import answer, printable, say
from loki_hooks.errors import BadInputError
from loki_hooks.system.site import require_enabled

_COLOUR = re.compile(r"(\x1b\[[0-9;:]{0,32}m)")
_UNFINISHED = re.compile(r"(\x1b(\[[0-9;:]{0,32})?|\r)\Z")
"""A chunk's end that only the next chunk explains: the head of an escape sequence, or of a CR LF."""


@click.command("logs")
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Go on until the session has ended.")
@click.option("--path", "only_path", is_flag=True, help="Print where the log is instead.")
@click.option("--gate", is_flag=True, help="Print what the gates said when they ran for it last.")
def logs(name: str, follow: bool, only_path: bool, gate: bool) -> None:
    """Print what the session of the stream NAME (a name, an id or a branch) has printed.

    Of an archived stream it is what the archive has. A terminal is shown colours but no other control sequence; a pipe
    gets the bytes as they are.
    """
    context = Context(require_enabled())
    record = context.require_stream(name)
    if gate and (follow or only_path):
        raise BadInputError("--gate goes with neither --follow nor --path", "give one of them")
    if only_path:
        answer(str(log.log_of(context.site, record.stream)))
        return
    attach = "" if gate else log.how_to_attach(context, record)
    if attach:
        say(f"to watch it in tmux, and type to it: {attach}")
    shower = _Shower()
    read = log.follow if follow else log.read
    try:
        for chunk in log.of_gates(context, record) if gate else read(context, record, say=say):
            shower.show(chunk)
    finally:
        shower.end()


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
