"""A document as readers see it: which lines are headings or code, what is inline code, where its sections begin.

Markdown, reStructuredText, AsciiDoc and plain text look alike enough for that; a file of code or data is code throughout.
A docstring is a page of its file that has only the docstrings' lines. Pure; the text comes from git.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property


class Place(StrEnum):
    """What sort of document it is; which one is looked at first is decided by ``rank``."""

    README = "readme"
    DOCS = "docs"
    API = "api"
    DOCSTRING = "docstring"
    CHANGELOG = "changelog"


class Kind(StrEnum):
    PROSE = "prose"
    HEADING = "heading"
    CODE = "code"


PROSE_SUFFIXES = (".md", ".markdown", ".mdx", ".rst", ".adoc", ".asciidoc", ".txt", ".org", ".textile", ".html", "")
SECTION_LINES = 30
NEAR_LINES = 8
"""A mention is mended when its section changed; of a section longer than that, only so many lines around the mention count."""
_FENCE = re.compile(r"^\s*(`{3,}|~{3,}|-{4,}$|\.{4,}$)")
_UNDERLINE = re.compile(r"^([=\-~^\"'`#*+.:_])\1{2,}\s*$")
_HEADING = re.compile(r"^(#{1,6}|={1,6})\s+\S")
_RST_CODE = re.compile(r"^\s*\.\. (?:code-block|code|sourcecode|literalinclude|parsed-literal|testcode|click:\w+)::")
_PROMPT = re.compile(r"^\s*(?:>>>|\.\.\.|\$) ")
_VERSION = re.compile(r"\d+\.\d+|unreleased|upcoming|\bnext\b", re.IGNORECASE)
_SPAN = re.compile(r"(`+)(?=\S)(.+?)\1|<code>(.*?)</code>")
_MAKES = (
    r"\b(\w+)\s*(?::\s*[\w.<>\[\]]+)?\s*:?=\s*(?:await\s+)?(?:new\s+)?&?(?:\w+(?:\.|::))*(?:New)?{name}\b(?:::\w+|\.(?:new|build|create))?"
    r"\s*[({{]|\b(?:as|with)\s+(?:\w+\.)*{name}\([^)]*\)\s+as\s+(\w+)|\b{name}\s+(\w+)\s*=\s*new\b|(\w+)\s*=\s*(?:\w+::)*{name}\.new\b"
    r"|\bwith\s+(?:\w+\.)*{name}\([^)]*\)\s+as\s+(\w+)"
)
WORD = re.compile(r"[^\W\d][\w$]*")


@dataclass(frozen=True)
class Page:
    """``lines`` are numbered from 1; ``only`` (None: all) are the numbers of those that belong to the page."""

    path: str
    place: Place
    text: str
    only: frozenset[int] | None = None
    translated: bool = False
    """It is in another language than the original."""

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def words(self) -> frozenset[str]:
        if self.only is None:
            return frozenset(WORD.findall(self.text))
        return frozenset(word for number in self.only for word in WORD.findall(self.line(number)))

    def line(self, number: int) -> str:
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def numbered(self) -> Iterator[tuple[int, str]]:
        for number, line in enumerate(self.lines, 1):
            if self.only is None or number in self.only:
                yield number, line

    @property
    def prose(self) -> bool:
        suffix = re.search(r"(\.\w+)?$", self.path.rpartition("/")[2])
        return suffix is None or (suffix[1] or "").lower() in PROSE_SUFFIXES

    @cached_property
    def kinds(self) -> list[Kind]:
        """What each line is, the first one at index 0."""
        if self.place is Place.API or (self.place is not Place.DOCSTRING and not self.prose):
            return [Kind.CODE] * len(self.lines)
        if self.place is Place.DOCSTRING:
            return [Kind.CODE if _PROMPT.match(line) else Kind.PROSE for line in self.lines]
        return _kinds(self.lines, rst=self.path.endswith(".rst"))

    @cached_property
    def _spans(self) -> dict[int, list[tuple[int, int]]]:
        return {}

    def spans(self, number: int) -> list[tuple[int, int]]:
        """Return where in the line there is inline code: (begin, end) of each piece."""
        if number not in self._spans:
            self._spans[number] = code_spans(self.line(number))
        return self._spans[number]

    @cached_property
    def _instances(self) -> dict[str, frozenset[str]]:
        return {}

    def instances(self, kind: str) -> frozenset[str]:
        """Return what the examples of the page call an object of the class: ``c`` where a line says ``c = Client()``."""
        if kind not in self._instances:
            made = re.compile(_MAKES.format(name=re.escape(kind)))
            found = made.findall(self.text) if kind in self.words else []
            self._instances[kind] = frozenset(word for groups in found for word in groups if word)
        return self._instances[kind]

    def kind(self, number: int) -> Kind:
        return self.kinds[number - 1] if 0 < number <= len(self.kinds) else Kind.PROSE

    @cached_property
    def newest(self) -> range:
        """Of a changelog, the lines of its newest version: what the others say stays true, whatever changes."""
        heads = [n for n, line in self.numbered() if self.kind(n) is Kind.HEADING and _VERSION.search(line)]
        return range(1, heads[1] if len(heads) > 1 else len(self.lines) + 1)

    @property
    def rank(self) -> tuple[bool, int, int]:
        """Where the page stands among others: the README first, then by depth; docstrings, the changelog, translations last."""
        order = [Place.README, Place.API, Place.DOCS, Place.DOCSTRING, Place.CHANGELOG]
        return self.translated, order.index(self.place), self.path.count("/")

    def around(self, number: int) -> range:
        """Return the lines that speak of what the line speaks of: its section, or its surroundings in a long one."""
        first, last = number, number
        if self.only is not None:
            while first - 1 in self.only:
                first -= 1
            while last + 1 in self.only:
                last += 1
            return range(first, last + 1)
        while first > 1 and self.kind(first) is not Kind.HEADING:
            first -= 1
        while last < len(self.lines) and self.kind(last + 1) is not Kind.HEADING:
            last += 1
        if last - first >= SECTION_LINES:
            first, last = max(first, number - NEAR_LINES), min(last, number + NEAR_LINES)
        return range(first, last + 1)


def _kinds(lines: list[str], *, rst: bool) -> list[Kind]:
    kinds: list[Kind] = []
    fence = ""
    block = -1  # the indentation that an indented code block of reStructuredText has to exceed; -1: in none
    for index, line in enumerate(lines):
        found = _FENCE.match(line)
        if fence:
            kinds.append(Kind.CODE)
            if found and found[1].startswith(fence) and line.strip() == found[1]:
                fence = ""
            continue
        if found and found[1][0] in "`~":
            fence = found[1]
            kinds.append(Kind.CODE)
            continue
        indent = len(line) - len(line.lstrip())
        if block >= 0 and line.strip() and indent <= block:
            block = -1
        following = lines[index + 1] if index + 1 < len(lines) else ""
        if block >= 0 or _PROMPT.match(line) or (not rst and line.startswith(("    ", "\t"))):
            kinds.append(Kind.CODE)
        elif _HEADING.match(line) or (
            line.strip() and not line[0].isspace() and _UNDERLINE.match(following) and not _UNDERLINE.match(line)
        ):
            kinds.append(Kind.HEADING)
        else:
            kinds.append(Kind.PROSE)
        if rst and block < 0 and (_RST_CODE.match(line) or line.rstrip().endswith("::")):
            block = indent
    return kinds


def code_spans(line: str) -> list[tuple[int, int]]:
    """Return where in the line there is inline code: (begin, end) of each piece."""
    return [(found.start(), found.end()) for found in _SPAN.finditer(line)]


def _around_cut(new: list[str], cut: list[str], at: int) -> set[int]:
    """Return the lines beside those that were taken out after line ``at``, as far as they are of the same section."""
    whole = bool(cut) and (
        _HEADING.match(cut[0]) is not None or (len(cut) > 1 and _UNDERLINE.match(cut[1]) is not None)
    )
    heading = at < len(new) and _HEADING.match(new[at]) is not None
    return (set() if whole else {at}) | (set() if heading else {at + 1})


def changed_lines(before: str, after: str) -> frozenset[int]:
    """Return the numbers of the newer text's lines that are new, or next to where something was taken out.

    White space alone is no change.
    """
    old = [" ".join(line.split()) for line in before.splitlines()]
    new = [" ".join(line.split()) for line in after.splitlines()]
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    found: set[int] = set()
    middle_old, middle_new = old[head : len(old) - tail], new[head : len(new) - tail]
    for tag, first, last, begin, end in difflib.SequenceMatcher(
        None, middle_old, middle_new, autojunk=False
    ).get_opcodes():
        if tag == "delete":
            found |= _around_cut(new, [line for line in middle_old[first:last] if line], head + begin)
        elif tag != "equal":
            found |= {number for number in range(head + begin + 1, head + end + 1) if new[number - 1]}
    return frozenset(number for number in found if 0 < number <= len(new))
