"""The lines of a Markdown file that checklists are made of: headings and items. Code and comments are neither."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"\s*(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*?)(?:\s+#+)?\s*$")
_ITEM = re.compile(r"(\s*)(?:[-*+]|\d+[.)])\s+\[(.)\]\s+(.*\S)\s*$")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


@dataclass(frozen=True)
class Heading:
    """A heading; ``level`` from 1."""

    level: int
    text: str
    line: int


@dataclass(frozen=True)
class Tick:
    """An item of a checklist; ``indent`` in columns. ``notes`` are the lines below it that are no item."""

    indent: int
    mark: str
    text: str
    line: int
    notes: tuple[str, ...] = ()

    @property
    def done(self) -> bool:
        return self.mark in "xX"

    @property
    def cancelled(self) -> bool:
        return self.mark == "-"


def lines_of(text: str) -> Iterator[Heading | Tick]:
    """Yield headings and items in order, each with its line (from 1)."""
    item: Tick | None = None
    fence = ""
    without = _COMMENT.sub(lambda comment: "\n" * comment.group().count("\n"), text)
    for number, raw in enumerate(without.splitlines(), 1):
        line = raw.expandtabs(4)
        mark = _FENCE.match(line)
        if fence:
            fence = "" if mark and mark[1].startswith(fence) else fence
            continue
        if mark:
            fence = mark[1]
            continue
        heading, found = _HEADING.match(line), _ITEM.match(line)
        if item is not None and not heading and not found and line.strip() and _indent(line) > item.indent:
            item = Tick(item.indent, item.mark, item.text, item.line, (*item.notes, line.strip()))
            continue
        if item is not None and (line.strip() or heading or found):
            yield item
            item = None
        if heading:
            yield Heading(len(heading[1]), heading[2].strip(), number)
        elif found:
            item = Tick(len(found[1]), found[2], found[3], number)
    if item is not None:
        yield item


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
