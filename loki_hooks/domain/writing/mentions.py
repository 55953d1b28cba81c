"""Which documents mention a thing, on which lines, the surest first; and where its like is documented.

All subjects of a landing are looked up together: each page is read into words once, so a thousand subjects cost little
more than one.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from loki_hooks.domain.writing.pages import WORD, Kind, Page, Place, code_spans
from loki_hooks.domain.writing.subjects import About, Subject, is_autodoc

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
MOST = 20
MOST_OF_A_PAGE = 4
"""Places shown for one thing: in all, and of one document. Who mends a document finds the others in it."""
NEAR = 3
_SURE = 2


@dataclass(frozen=True)
class Mention:
    path: str
    line: int
    strength: int
    place: Place
    translated: bool = False
    automatic: bool = False
    """The line has a tool fetch the text from the code."""

    def to_json(self) -> dict[str, object]:
        return {"path": self.path, "line": self.line}


@dataclass
class Library:
    """The documents of one tree, and where each wanted word stands in them."""

    pages: Sequence[Page]
    wanted: frozenset[str]
    shared: frozenset[str] = frozenset()
    """Names of methods that several classes have: one counts only on pages that know its class."""
    _lines: dict[str, dict[int, list[int]]] = field(default_factory=dict)
    _known_weights: dict[str, float] = field(default_factory=dict)
    _known_words: dict[str, frozenset[str]] = field(default_factory=dict)
    _known_stems: dict[str, frozenset[str]] = field(default_factory=dict)
    _known_stem_weights: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, pages: Iterable[Page], subjects: Iterable[Subject]) -> Library:
        asked = list(subjects)
        wanted = frozenset(word for subject in asked for word in subject.anchors)
        owners = Counter(last for last, _ in {(s.last, s.parent) for s in asked if s.about is About.PUBLIC})
        library = cls(list(pages), wanted, frozenset(name for name, count in owners.items() if count > 1))
        library._read()
        return library

    def _read(self) -> None:
        for index, page in enumerate(self.pages):
            here = self.wanted & page.words
            if not here:
                continue
            for number, line in page.numbered():
                for word in here.intersection(WORD.findall(line)):
                    self._lines.setdefault(word, {}).setdefault(index, []).append(number)

    def mentions(self, subject: Subject) -> list[Mention]:
        """Return every mention, the surest first, then by the document's rank."""
        candidates: dict[int, set[int]] = {}
        for word in subject.anchors:
            for index, lines in self._lines.get(word, {}).items():
                candidates.setdefault(index, set()).update(lines)
        found: list[tuple[tuple[bool, int, int], Mention]] = []
        known = subject.about is About.PUBLIC and subject.parent if subject.last in self.shared else ""
        for index, numbers in candidates.items():
            page = self.pages[index]
            if known and known not in page.words:
                continue
            for number in sorted(numbers):
                if page.place is Place.CHANGELOG and number not in page.newest:
                    continue
                strength = subject.strength(page, number)
                if strength:
                    automatic = subject.documented_by_itself(page, number)
                    mention = Mention(page.path, number, strength, page.place, page.translated, automatic)
                    found.append((page.rank, mention))
        found.sort(key=lambda p: (p[1].place is Place.CHANGELOG, p[1].translated, -p[1].strength, p[0], p[1].path))
        return [mention for _, mention in found]

    def described(self, mentions: Sequence[Mention], words: Iterable[str]) -> list[Mention]:
        """Return the lines near a mention's page that speak of one of the words (parameters, say) in code."""
        wanted = frozenset(words)
        found: list[Mention] = []
        pages = {page.path: page for page in self.pages}
        known = {(m.path, m.line) for m in mentions}
        for path in dict.fromkeys(m.path for m in mentions if m.strength >= _SURE and m.place is not Place.CHANGELOG):
            page = pages[path]
            if not wanted & page.words:
                continue
            for number, line in page.numbered():
                spans = [] if page.kind(number) is Kind.CODE else page.spans(number)
                if (path, number) not in known and any(wanted.intersection(WORD.findall(line[a:b])) for a, b in spans):
                    found.append(Mention(path, number, 2, page.place, page.translated))
        return found[:MOST]

    def near(self, subject: Subject, peers: Iterable[str] = (), words: Iterable[str] = ()) -> list[str]:
        """Return the documents in which its like is documented: of its class, its module, or what stands beside it.

        ``peers``: the names that stand in the same file; ``words``: others that have to do with it, such as new parameters. At
        most ``NEAR``, the best first.
        """
        if subject.about is About.FILE:
            return []
        weights = self._weights()
        names = frozenset(peers) - {subject.last}
        stem = subject.file.rpartition("/")[2].partition(".")[0].strip("_").lower()
        said = frozenset(_stem(part) for word in (subject.last, subject.parent, *words) for part in _subwords(word))
        folders = subject.file.split("/")[1:-1]
        titles = {_stem(word) for word in (stem, subject.parent, subject.last, *folders)} | said
        rare = self._stem_weights()
        scored = []
        for page in self.pages:
            if page.place not in {Place.README, Place.DOCS} or not page.prose:
                continue
            title = page.path.rpartition("/")[2].partition(".")[0].lower().strip("_")
            score = 0.0
            if subject.parent and subject.parent in page.words:
                score += 3 * weights.get(subject.parent, 1.0)
            if len(title) > 2 and _stem(title) in titles:
                score += 8
            elif len(stem) > 3 and stem in title:
                score += 4
            score += sum(weights.get(name, 0.0) for name in names & self._code_words(page))
            score += sum(rare.get(word, 0.0) for word in said & self._stems(page))
            if score >= 1:
                scored.append((-score, page.rank, page.path))
        return [path for _, _, path in sorted(scored)[:NEAR]]

    def _stems(self, page: Page) -> frozenset[str]:
        """Return the words of the page, whatever their case and number."""
        if page.path not in self._known_stems:
            self._known_stems[page.path] = frozenset(_stem(part) for word in page.words for part in _subwords(word))
        return self._known_stems[page.path]

    def _stem_weights(self) -> Mapping[str, float]:
        if not self._known_stem_weights:
            pages = [p for p in self.pages if p.place is not Place.DOCSTRING]
            counted = Counter(word for page in pages for word in self._stems(page))
            self._known_stem_weights.update({w: math.log((1 + len(pages)) / n) for w, n in counted.items()})
        return self._known_stem_weights

    def _weights(self) -> Mapping[str, float]:
        """Return how much each word says about a page: the fewer pages have it, the more."""
        if not self._known_weights:
            pages = [p for p in self.pages if p.place is not Place.DOCSTRING]
            counted = Counter(word for page in pages for word in self._code_words(page))
            self._known_weights.update({w: math.log((1 + len(pages)) / n) for w, n in counted.items()})
        return self._known_weights

    def _code_words(self, page: Page) -> frozenset[str]:
        """Return the words of the page that stand in code."""
        if page.path not in self._known_words:
            found: set[str] = set()
            for number, line in page.numbered():
                if page.kind(number) is Kind.CODE or is_autodoc(line):
                    found.update(WORD.findall(line))
                else:
                    for a, b in code_spans(line):
                        found.update(WORD.findall(line[a:b]))
            self._known_words[page.path] = frozenset(found)
        return self._known_words[page.path]


def _subwords(word: str) -> list[str]:
    """Return the words in a name: ``HTTPTransport`` is ``HTTP`` and ``Transport``; of a short one nothing."""
    return [part for part in _PARTS.findall(word) if len(part) > 2]


def _stem(word: str) -> str:
    return word.strip("_").lower().rstrip("s")


def shortened(mentions: Iterable[Mention]) -> tuple[Mention, ...]:
    """Return what an item shows: each document's surest lines, in the order of the documents, not too many."""
    taken: Counter[str] = Counter()
    found: list[Mention] = []
    listed = list(mentions)
    originals = [m for m in listed if not m.translated and m.place in {Place.README, Place.DOCS}]
    for mention in [m for m in listed if not (originals and m.translated)]:
        if taken[mention.path] < MOST_OF_A_PAGE and len(found) < MOST:
            taken[mention.path] += 1
            found.append(mention)
    return tuple(found)
