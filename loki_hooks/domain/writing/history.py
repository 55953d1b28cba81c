"""A range of commits as values: who made what, which landing brought it, and what a message says of itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

_CONVENTIONAL = re.compile(r"^(?P<type>[A-Za-z]+)(?:\((?P<scope>[^)]*)\))?(?P<breaking>!)?:\s+(?P<what>\S.*)$")
_LISTED = re.compile(
    r"^[*-] ((?:feat|feature|fix|perf|security|sec|refactor|docs|chore|build|ci|test|style|revert)(?:\([^)]*\))?!?:\s+\S.*)$",
    re.MULTILINE,
)
"""How a squashed commit lists those that it was made of."""
_BREAKING = re.compile(r"^BREAKING[ -]CHANGE:", re.MULTILINE)
_CO_AUTHOR = re.compile(r"^Co-authored-by:\s*(?P<name>[^<\n]+?)\s*(?:<[^>\n]*>)?\s*$", re.MULTILINE | re.IGNORECASE)
_ITEM = re.compile(r"^Loki-Item:\s*(?P<ids>[0-9a-f]{16}(?:[ ,]+[0-9a-f]{16})*)\s*$", re.MULTILINE)
_STREAM = re.compile(r"^Loki-Stream:\s*(\S+)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Touched:
    """One path that a commit changed: the blobs before and after, '' where there was none."""

    before: str
    after: str


@dataclass(frozen=True)
class Commit:
    """``parents`` as git has them; ``touched`` is empty for a merge."""

    oid: str
    parents: tuple[str, ...]
    author: str
    message: str
    touched: Mapping[str, Touched] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        return self.message.strip().partition("\n")[0]

    @property
    def lines(self) -> tuple[str, ...]:
        """The subject, and those of the commits that it was squashed from."""
        return self.subject, *_LISTED.findall(self.message)

    def said(self, *types: str, scope: str = "") -> str:
        """Return what the first conventional line of one of the types says (``feat: x`` says *x*); '' when there is none."""
        for line in self.lines:
            found = _CONVENTIONAL.match(line)
            if found and found["type"].lower() in types and scope in {"", (found["scope"] or "").lower()}:
                return found["what"]
        return ""

    @property
    def what(self) -> str:
        """The subject without the conventional type."""
        found = _CONVENTIONAL.match(self.subject)
        return found["what"] if found else self.subject

    @property
    def breaking(self) -> bool:
        marked = any((found := _CONVENTIONAL.match(line)) and found["breaking"] for line in self.lines)
        return marked or _BREAKING.search(self.message) is not None

    @property
    def people(self) -> tuple[str, ...]:
        """Who wrote it, without robots."""
        names = [self.author, *(found["name"] for found in _CO_AUTHOR.finditer(self.message))]
        return tuple(dict.fromkeys(name for name in names if name and not name.endswith("[bot]")))

    @property
    def items(self) -> tuple[str, ...]:
        """The queue items that its message says it is about (``Loki-Item: <id>``)."""
        return tuple(ident for found in _ITEM.finditer(self.message) for ident in re.split(r"[ ,]+", found["ids"]))

    @property
    def stream(self) -> str:
        """The stream that it landed ('' for a commit that is no landing of ours)."""
        found = _STREAM.findall(self.message)
        return found[-1] if found else ""


@dataclass(frozen=True)
class Landing:
    """A step of the integration branch: the commit that made it, and all that came with it, newest first."""

    commit: str
    stream: str
    commits: tuple[Commit, ...]

    @property
    def paths(self) -> frozenset[str]:
        return frozenset(path for commit in self.commits for path in commit.touched)


def landings(commits: Sequence[Commit], tip: str) -> tuple[Landing, ...]:
    """Return the steps of the branch, oldest first. ``commits``: the whole range, newest first, as git lists it.

    Each commit belongs to the first step that has it; what no step reaches belongs to the newest.
    """
    known = {commit.oid: commit for commit in commits}
    chain = []
    at = tip
    while at in known:
        chain.append(at)
        at = known[at].parents[0] if known[at].parents else ""
    taken: set[str] = set()
    found = []
    for step in reversed(chain):
        brought = _reachable(step, known, taken)
        taken |= brought
        found.append(Landing(step, known[step].stream, tuple(c for c in commits if c.oid in brought)))
    return tuple(found)


def _reachable(start: str, known: Mapping[str, Commit], without: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    stop = set(without)
    todo = [start]
    while todo:
        at = todo.pop()
        if at in known and at not in seen and at not in stop:
            seen.add(at)
            todo += known[at].parents
    return seen
