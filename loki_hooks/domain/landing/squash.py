"""What a squashed landing keeps of the commits that it is made of: who wrote them, and what their footers say. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_FOOTER = re.compile(r"^[A-Za-z][A-Za-z0-9-]*: \S.*$")
_ISSUE = re.compile(r"^[A-Za-z][A-Za-z-]* #\d+$")
"""`Closes #12`: git takes a paragraph with such a line for no footers at all."""
_BREAKING = re.compile(r"^BREAKING[ -]CHANGE: ")
_OURS = ("Loki-Stream:", "Loki-Tip:", "Loki-Task:", "Loki-Gates:", "Change-Id:")
"""Said by the landing itself, or of one commit only."""
_CO_AUTHOR = "Co-authored-by: "


@dataclass(frozen=True)
class Made:
    """One commit that goes into it. ``author`` is ``Name <address>``."""

    author: str
    date: str
    message: str

    @property
    def subject(self) -> str:
        return self.message.strip().partition("\n")[0]


@dataclass(frozen=True)
class Squashed:
    """``author`` and ``date`` of the one commit.

    ``notes``: paragraphs that say what breaks, and which issues it closes; ``footers``: its last lines.
    """

    author: str
    date: str
    notes: tuple[str, ...]
    footers: tuple[str, ...]


def squash(commits: Sequence[Made]) -> Squashed | None:
    """Return what one commit keeps of these, the oldest first; None for none.

    Who wrote most of them (of two: the first) is its author; the others are co-authors.
    """
    if not commits:
        return None
    authors = [commit.author for commit in commits]
    author = max(dict.fromkeys(authors), key=authors.count)
    said = [footer for commit in commits for footer in _footers(commit.message)]
    notes = dict.fromkeys(note for commit in commits for note in _breaking(commit.message))
    if issues := dict.fromkeys(line for line in said if _ISSUE.match(line)):
        notes["\n".join(issues)] = None
    said = [line for line in said if not _ISSUE.match(line)]
    others = [f"{_CO_AUTHOR}{other}" for other in authors if other != author]
    kept: dict[str, str] = {}
    for footer in (*said, *others):
        if footer.lower() != f"{_CO_AUTHOR}{author}".lower():
            kept.setdefault(footer.lower(), footer)
    return Squashed(author, commits[-1].date, tuple(notes), tuple(kept.values()))


def _paragraphs(message: str) -> list[list[str]]:
    body = message.replace("\r\n", "\n").strip().partition("\n")[2]
    return [part.strip().splitlines() for part in re.split(r"\n[ \t]*\n", body) if part.strip()]


def _breaking(message: str) -> list[str]:
    """Return what follows each ``BREAKING CHANGE:``, up to the next footer or the end of its paragraph."""
    found = []
    for lines in _paragraphs(message):
        starts = [i for i, line in enumerate(lines) if _BREAKING.match(line)]
        for start in starts:
            end = next((i for i in range(start + 1, len(lines)) if _FOOTER.match(lines[i])), len(lines))
            end = next((i for i in starts if start < i < end), end)
            found.append("\n".join(lines[start:end]))
    return found


def _footers(message: str) -> list[str]:
    """Return the footers: lines of the last paragraph, where it begins with one, and of those above it that are nothing else."""
    found: list[str] = []
    for place, lines in enumerate(reversed(_paragraphs(message))):
        footers = [line for line in lines if (_FOOTER.match(line) or _ISSUE.match(line)) and not _BREAKING.match(line)]
        if not _BREAKING.match(lines[0]) and (lines[0] not in footers or (place and len(footers) < len(lines))):
            break
        found = [line for line in footers if not line.startswith(_OURS)] + found
    return found
