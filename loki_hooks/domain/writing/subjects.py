"""What a document can mention, and how surely a line of it does: a symbol, an endpoint, an option, a file.

A mention's strength is 4 (named in full), 3 (inline code, a heading, a call in an example), 2 (a name that nothing else is
called, or another spelling), 1 (a plain word), 0 (none). A word that people use anyway, such as *get*, counts only where it
is qualified or in code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from loki_hooks.domain.writing.pages import WORD, Kind, Page, Place, code_spans

_EVERYDAY = (
    "a about abort add after all any app apply args as at base before begin build by cache call check class clear client "
    "close code command commit config connect content context copy count create current data date debug default delete "
    "describe do end error event exit export extra field file files filter find first flush for format from full function "
    "get go group handle handler has header headers help hook host id if in include index info init input insert is item "
    "items join key keys kind last len level lib line link list load local lock log main make map match max merge message "
    "method min mode model module move name new next no none not notify now num number object of off on open option options "
    "or order output package page param params parent parse path pop port post print process property push put query queue "
    "quit read ready reduce register release remove rename render repeat replace reply report request require reset resolve "
    "response result return root route run save scan search section select send server session set setup show size skip "
    "sleep sort source split start state status step stop store stream string style sync table tag target task test text "
    "time to token tool top trace transform trigger true type update upload url use user using utils validate value values "
    "version view wait walk warn watch when width with word work wrap write yield"
)
COMMON = frozenset(_EVERYDAY.split())
_AUTODOC = re.compile(r"^\s*(?:\.\. )?(?:auto\w+::|:::\s)|^\s*```\{auto")
_QUALIFIER = re.compile(r"([A-Za-z_$][\w$]*)(?:\(\))?(?:\.|::|#|->)$")
_URL = re.compile(r"(?:https?://[^/\s`'\")>]+)?(/[\w\-./{}<>:$\[\]*~%+@]*)")
_OTHER_METHOD = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS)[`*]*\s+[`*]*(?:https?://[^/\s]+)?$")
_PARAMETER = re.compile(r"\$?\{[^}/]*\}|<[^>/]*>|:[A-Za-z_]\w*\??|\[[^\]/]+\]|\*\w*")
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "ANY", "ALL", "WS", "WEBSOCKET")


class About(StrEnum):
    PUBLIC = "public"
    ENDPOINT = "endpoint"
    CONFIG = "config"
    FILE = "file"


@dataclass(frozen=True)
class Subject:
    """One thing that documents may mention. ``name`` as the item has it; ``file`` is where it stands (for a file: itself).

    Of a file, ``unique`` says that its bare name can mean no other one in the tree, ``gone`` that it is not there any more:
    then what imports it is concerned, too.
    """

    about: About
    name: str
    file: str = ""
    unique: bool = True
    gone: bool = False

    @cached_property
    def anchors(self) -> tuple[str, ...]:
        """Return words of which a line that mentions it has one; () when nothing can be searched for."""
        if self.about is About.PUBLIC:
            return (self.last,) if self.last else ()
        if self.about is About.ENDPOINT:
            return _longest([s for s in self.segments if s != "{}"]) or ((self.method,) if self.method else ())
        if self.about is About.FILE:
            stem, dotted = self.name.rpartition("/")[2], self.module
            words = _longest([stem.partition(".")[0] or stem])
            return tuple({*words, *_longest(dotted.split(".")[-1:])})
        last = _longest([self.name.rpartition(".")[2]]) if "." in self.name else ()
        return tuple({*last, *(word for spelling in self.spellings for word in _longest([spelling]))})

    # A public symbol -----------------------------------------------------------------------------------

    @cached_property
    def parts(self) -> tuple[str, ...]:
        parts = tuple(part for part in re.split(r"\.|::|#", self.name) if part)
        return parts[:-1] if len(parts) > 1 and parts[-1] in {"__init__", "constructor", "new", "initialize"} else parts

    @property
    def last(self) -> str:
        return self.parts[-1] if self.parts else ""

    @property
    def parent(self) -> str:
        return self.parts[-2] if len(self.parts) > 1 else ""

    @cached_property
    def module(self) -> str:
        """The file as code names it: ``src/app/client.py`` is ``app.client``."""
        bare = re.sub(r"^(src|lib|python)/", "", self.file or self.name)
        bare = re.sub(r"\.\w+$", "", bare)
        return re.sub(r"(/__init__|/index|/mod|/lib)$", "", bare).replace("/", ".")

    @cached_property
    def modules(self) -> frozenset[str]:
        return frozenset(self.module.split("."))

    @cached_property
    def distinctive(self) -> bool:
        """Whether nobody would write the word but to mean the thing: ``read_line``, ``BlobStore``, ``utf8``."""
        word = self.last.strip("_")
        return "_" in word or bool(re.search(r"[a-z0-9][A-Z]|\d", word)) or (word.isupper() and len(word) > 3)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![\w$-]){re.escape(self.last)}(?![\w$]|-\w)")

    @property
    def common(self) -> bool:
        return len(self.last) < 3 or self.last.lower() in COMMON

    # An endpoint ---------------------------------------------------------------------------------------

    @cached_property
    def method(self) -> str:
        head = self.name.partition(" ")[0]
        return head if head.upper() in _METHODS else ""

    @cached_property
    def segments(self) -> tuple[str, ...]:
        return _segments(self.name.rpartition(" ")[2])

    # An option -----------------------------------------------------------------------------------------

    @cached_property
    def spellings(self) -> tuple[str, ...]:
        """The name itself, then what else it may be called where that is no everyday word."""
        bare = self.name.lstrip("-").removeprefix("no-")
        words = [w for w in re.split(r"[-_.]|(?<=[a-z0-9])(?=[A-Z])", bare) if w]
        more = []
        if len(words) > 1:
            lower = [w.lower() for w in words]
            camel = lower[0] + "".join(w.capitalize() for w in lower[1:])
            more = ["_".join(lower), "-".join(lower), "_".join(lower).upper(), camel]
        return tuple(dict.fromkeys([self.name, *more]))

    # How surely a line mentions it ---------------------------------------------------------------------

    def strength(self, page: Page, number: int) -> int:
        line = page.line(number)
        match self.about:
            case About.PUBLIC:
                return self._symbol(page, number, line)
            case About.ENDPOINT:
                return self._endpoint(page, number, line)
            case About.CONFIG:
                return self._option(page, number, line)
            case About.FILE:
                return self._file(line)

    def documented_by_itself(self, page: Page, number: int) -> bool:
        """Whether only the name in it can become wrong: it has a tool fetch the text from the code, or refers to that text."""
        line = page.line(number)
        refers = (
            page.place is Place.DOCSTRING and re.search(rf":\w+:`[~!.\w]*\b{re.escape(self.last)}`", line) is not None
        )
        return is_autodoc(line) or refers

    def _symbol(self, page: Page, number: int, line: str) -> int:
        kind = page.kind(number)
        spans = page.spans(number) if kind is not Kind.CODE else []
        best = 0
        for found in self._pattern.finditer(line):
            code = kind is Kind.CODE or any(a <= found.start() < b for a, b in spans)
            before, behind = _QUALIFIER.search(line[: found.start()]), line[found.end() : found.end() + 1]
            if before:
                best = max(best, self._qualified(page, before[1], code))
            else:
                best = max(best, self._bare(page, kind, code, line, call=behind == "("))
        return best

    def _qualified(self, page: Page, word: str, code: bool) -> int:
        if self.parent:
            if word == self.parent:
                return 4
            if code and word in page.instances(self.parent):
                return 3
            if _plain(word) == _plain(self.parent):
                return 3
            known = self.parent in page.words
            return (3 if self.distinctive else 2 if known and not self.common else 0) if code else 0
        if word in self.modules:
            return 4
        return (2 if self.distinctive or self.last[:1].isupper() else 0) if code else 0

    def _bare(self, page: Page, kind: Kind, code: bool, line: str, *, call: bool) -> int:
        alone = line.strip("#=*~ `()\t") == self.last
        known = not self.parent or self.parent in page.words
        if kind is Kind.HEADING and (alone or code or self.distinctive):
            return 3 if known else 2 if self.distinctive else 0
        if code and kind is Kind.CODE:
            if self.parent:
                return 2 if self.distinctive or (known and not self.common) else 0
            return 3 if call or self.distinctive or self.last[:1].isupper() else 2 if not self.common else 0
        if code:
            return 3 if known else 2 if self.distinctive else 0
        if page.place is Place.DOCSTRING and not self.distinctive and not call:
            return 0
        if self.distinctive:
            return 2 if known else 1
        if self.common or (self.parent and not call):
            return 0
        return (2 if call else 1) if known else 0

    def _endpoint(self, page: Page, number: int, line: str) -> int:
        static = [s for s in self.segments if s != "{}"]
        spans = page.spans(number)
        code = page.kind(number) is Kind.CODE
        named = bool(self.method) and re.search(rf"(?<![\w]){self.method}(?!\w)", line, re.IGNORECASE) is not None
        best = 0
        for found in _URL.finditer(line):
            there = _segments(found[1].rstrip(":.,"))
            if not static and not (found[1].rstrip(":.,") == "/" or there):
                continue
            same = len(there) == len(self.segments) and _fits(self.segments, there)
            other = _OTHER_METHOD.search(line[: found.start(1)])
            if same and self.method and other and other[1].upper() != self.method.upper() and not named:
                continue  # it speaks of another method of the same path
            if same and (static or named):
                inside = code or any(a <= found.start() < b for a, b in spans) or page.kind(number) is Kind.HEADING
                best = max(best, 4 if named else 3 if inside else 2)
            elif static and len(there) > len(self.segments) and _fits(self.segments, there[-len(self.segments) :]):
                best = max(best, 2)
        return best

    def _option(self, page: Page, number: int, line: str) -> int:
        if _word(self.name, line):
            bare = re.fullmatch(r"[A-Za-z]+", self.name) is not None
            code = page.kind(number) is Kind.CODE or any(_word(self.name, line[a:b]) for a, b in code_spans(line))
            if not bare:
                return 4 if code or self.name.startswith("-") or self.name.isupper() or "." in self.name else 3
            return 3 if code and not self.common_option else 0
        code = page.kind(number) is Kind.CODE
        for spelling in self.spellings[1:]:
            inside = code or any(_word(spelling, line[a:b]) for a, b in code_spans(line))
            if _word(spelling, line) and (inside or spelling.isupper()):
                return 2
        if "." in self.name and code:
            return self._in_table(page, number, line)
        return 0

    @property
    def common_option(self) -> bool:
        return self.name.lower() in COMMON

    def _in_table(self, page: Page, number: int, line: str) -> int:
        """Whether the line sets the last part below a header that names the others: ``[server]``, then ``port = 1``."""
        table, _, key = self.name.rpartition(".")
        if not re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=:]", line):
            return 0
        for above in range(number - 1, max(0, number - 40), -1):
            text = page.line(above).strip()
            if page.kind(above) is not Kind.CODE:
                return 0
            if text in {f"[{table}]", f"{table}:", f'"{table}": {{', f"{table.rpartition('.')[2]}:"}:
                return 3
            if text.startswith("["):
                return 0
        return 0

    def _file(self, line: str) -> int:
        if _path_word(self.name, line):
            return 4
        if self.gone and "." in self.module and re.search(rf"(?<![\w.]){re.escape(self.module)}(?![\w])", line):
            return 3
        parent, _, base = self.name.rpartition("/")
        tail = f"{parent.rpartition('/')[2]}/{base}"
        if parent and tail != self.name and _path_word(tail, line):
            return 3
        if self.unique and "." in base.lstrip(".") and _path_word(base, line):
            return 3 if any(base in line[a:b] for a, b in code_spans(line)) else 2
        return 0


def is_autodoc(line: str) -> bool:
    """Whether the line has a tool fetch a documentation from the code."""
    return _AUTODOC.match(line) is not None


def _word(spelling: str, text: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(spelling)}(?![\w-]|\.\w)", text) is not None


def _path_word(path: str, text: str) -> bool:
    return (
        path in text and re.search(rf"(?<![\w.-])(?<!\w/)(?:\./|/)?{re.escape(path)}(?![\w/-]|\.\w)", text) is not None
    )


def _plain(word: str) -> str:
    return word.replace("_", "").lower()


def _longest(texts: list[str]) -> tuple[str, ...]:
    words = [word for text in texts for word in WORD.findall(text)]
    return (max(words, key=len),) if words else ()


def _segments(path: str) -> tuple[str, ...]:
    bare = path.partition("?")[0]
    return tuple("{}" if _PARAMETER.fullmatch(part) else part for part in bare.split("/") if part)


def _fits(pattern: tuple[str, ...], there: tuple[str, ...]) -> bool:
    """Whether the path is the pattern's: a parameter stands for any one part, a part for itself."""
    return all(a == b or a == "{}" for a, b in zip(pattern, there, strict=True))
