"""The labelled set: pairs of sources, with what a maintainer would say changed between them.

One text file a case, ``labelled/<language>/<name>.case``: a comment that says what it holds, then sections that begin with
``=== before PATH``, ``=== after PATH``, ``=== both PATH`` (context) and ``=== expect``. Each line of ``expect`` is
``<aspect> <what> <symbol>[ breaking]``; none of them means that nothing may be found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from loki_hooks.domain.surface import Compared
from loki_hooks.surface.compare import compare_sources
from loki_hooks.surface.packages import Packages, manifest_paths

FOLDER = Path(__file__).parent.parent / "labelled"


@dataclass(frozen=True)
class Case:
    language: str
    name: str
    holds: str
    before: dict[str, str]
    after: dict[str, str]
    expected: frozenset[str]
    """``aspect what symbol``; what is said of breaking stands apart."""
    breaking: frozenset[str]
    """Those of the expected that break callers."""


@dataclass(frozen=True)
class Found:
    """What the readers said of one case, in the same words."""

    found: frozenset[str]
    breaking: frozenset[str]
    unread: frozenset[str]


@dataclass(frozen=True)
class Score:
    right: int
    wrong: int
    """Found, and not expected."""
    missed: int

    @property
    def precision(self) -> float:
        return self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0

    @property
    def recall(self) -> float:
        return self.right / (self.right + self.missed) if self.right + self.missed else 1.0

    def __add__(self, other: Score) -> Score:
        return Score(self.right + other.right, self.wrong + other.wrong, self.missed + other.missed)


NOTHING = Score(0, 0, 0)


def cases(language: str = "*") -> Iterator[Case]:
    """Yield all cases, or those of one language, in the order of their names."""
    for path in sorted(FOLDER.glob(f"{language}/*.case")):
        yield read_case(path)


def read_case(path: Path) -> Case:
    """Return the case in the file; ValueError names what is malformed."""
    sides: dict[str, dict[str, str]] = {"before": {}, "after": {}, "both": {}}
    said: list[str] = []
    holds, section = "", said
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(keepends=True), 1):
        if line.startswith("=== "):
            word, _, file = line[4:].strip().partition(" ")
            section = []
            if word == "expect":
                said = section
            elif word in sides and file:
                sides[word][file] = ""
            else:
                raise ValueError(f"{path.name}:{number}: no such section: {line.strip()}")
            current = (word, file)
        elif number == 1 and line.startswith("# "):
            holds = line[2:].strip()
        elif section is said:
            said.append(line.strip())
        else:
            sides[current[0]][current[1]] += line
    lines = [line for line in said if line]
    if bad := [line for line in lines if len(line.split(" ")) < 3]:
        raise ValueError(f"{path.name}: not <aspect> <what> <symbol>: {bad[0]}")
    return Case(
        path.parent.name,
        path.stem,
        holds,
        sides["before"] | sides["both"],
        sides["after"] | sides["both"],
        frozenset(line.removesuffix(" breaking") for line in lines),
        frozenset(line.removesuffix(" breaking") for line in lines if line.endswith(" breaking")),
    )


def look(case: Case) -> Found:
    """Return what the readers find in the case."""
    manifests = {path: text for path, text in case.after.items() if manifest_paths(case.after, [path])}
    return in_words(compare_sources(case.before, case.after, Packages(manifests, case.after.keys())))


def in_words(compared: Compared) -> Found:
    said = [(f"{c.aspect} {c.what} {c.symbol}", c.breaking) for c in compared.changes]
    return Found(
        frozenset(words for words, _ in said),
        frozenset(words for words, breaking in said if breaking),
        frozenset(u.file for u in compared.unread),
    )


def score(expected: Iterable[str], found: Iterable[str]) -> Score:
    """Return how well what was found matches what was expected, line by line."""
    wanted, got = Counter(expected), Counter(found)
    return Score((wanted & got).total(), (got - wanted).total(), (wanted - got).total())
