"""What people see: answers on stdout, narration on stderr. The only place that configures rich.

Nothing that came from a repository, an agent or a file name may drive the reader's terminal: control characters
are shown escaped, except line breaks and tabs. What authenticates in a URL is never shown.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from loki_hooks.domain.secrets import without_credentials

PROGRAM = "loki-hooks"


def printable(text: str, keep: str = "\n\t") -> str:
    """Return ``text`` with every control character escaped, but those in ``keep``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode("ascii") for c in text)


def answer(text: str) -> None:
    """Print ``text`` on stdout: what was asked for. To a program its bytes go as they are, to a terminal escaped."""
    text = without_credentials(text)
    print(printable(text) if sys.stdout.isatty() else text)


def say(text: str) -> None:
    """Print ``text`` on stderr, as ``loki-hooks: text``; its lines stay lines."""
    print(f"{PROGRAM}: {printable(without_credentials(text))}", file=sys.stderr, flush=True)


def hint(text: str) -> None:
    """Print on stderr what to do, as ``hint: text``."""
    print(f"hint: {printable(without_credentials(text))}", file=sys.stderr, flush=True)


def answer_json(value: Any) -> None:
    """Print ``value`` on stdout as one JSON document: in one line what fits in one, a longer list an item a line."""
    print(json_text(value))


def json_text(value: Any, width: int = 100) -> str:
    """Return ``value`` as JSON text, ASCII only where a character would not survive the way to the reader."""
    line = _dumps(value)
    if len(line) <= width:
        return line
    if isinstance(value, list):
        return "[\n" + ",\n".join(f"  {_dumps(item)}" for item in value) + "\n]"
    return _dumps(value, indent=2)


def _dumps(value: Any, indent: int | None = None) -> str:
    text = without_credentials(json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False))
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        pass
    else:
        if printable(text) == text:
            return text
    return without_credentials(json.dumps(value, indent=indent, allow_nan=False))


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table on stdout. Into a pipe or a file: plain columns, never wrapped nor cut, without trailing blanks."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header in headers:
        made.add_column(Text(header), no_wrap=not terminal, overflow="fold" if terminal else "ignore")
    for row in rows:
        made.add_row(
            *(Text("" if cell is None else printable(without_credentials(str(cell)), keep="")) for cell in row)
        )
    if terminal:
        Console(highlight=False).print(made)
        return
    wide = Console(width=1_000_000).measure(made).maximum
    console = Console(force_terminal=False, no_color=True, highlight=False, width=max(1, wide))
    with console.capture() as captured:
        console.print(made)
    for line in captured.get().splitlines():
        print(line.rstrip())


def table_with_notes(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose last column may be long: on a terminal too narrow for it, that stands below each row.

    There the first column is never cut, empty ones are left out, and others are cut with "…". Elsewhere it is as ``table``.
    """
    if not sys.stdout.isatty():
        table(headers, rows)
        return
    import shutil
    import textwrap

    shown = [[printable(without_credentials(cell), keep="") for cell in row] for row in rows]
    kept = [at for at in range(len(headers)) if at in {0, len(headers) - 1} or any(row[at] for row in shown)]
    lines = [[line[at] for at in kept] for line in (headers, *shown)]
    widths = [max(_width(line[at]) for line in lines) for at in range(len(kept))]
    room = shutil.get_terminal_size().columns - 1
    below = sum(widths) + _GAP * (len(kept) - 1) > room
    fixed = len(kept) - 1 if below else len(kept)
    while sum(widths[:fixed]) + _GAP * (fixed - 1) > room and max(widths[1:fixed], default=0) > _NARROWEST:
        widest = max(range(1, fixed), key=lambda at: widths[at])
        widths[widest] -= 1
    for number, line in enumerate(lines):
        cells = (_fitted(cell, width) for cell, width in zip(line[:fixed], widths, strict=False))
        text = (" " * _GAP).join(cells).rstrip()
        print(text if number else f"\x1b[1m{text}\x1b[0m")
        if below and number and line[-1]:
            print(textwrap.fill(line[-1], room, initial_indent="    ", subsequent_indent="    "))


_GAP = 2
_NARROWEST = 8


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _fitted(text: str, width: int) -> str:
    from rich.cells import set_cell_size

    return set_cell_size(text, width) if _width(text) <= width else f"{set_cell_size(text, width - 1)}…"
