"""Signal names: which there are, and what a file name says. A signal is a notification, never the proof."""

from __future__ import annotations

import re
from dataclasses import dataclass

from loki_hooks.domain.names import flat, nearest, shown
from loki_hooks.errors import BadInputError

PLAIN = ("TESTS_PASSED", "DOCS_NEEDED", "BLOG_POST_QUEUED")
NAMED = (
    "FEATURE_READY",
    "TESTS_PASSED",
    "TESTS_FAILED",
    "MERGE_REQUESTED",
    "WORKTREE_FAILED",
    "SPAWN_QUEUED",
    "REVIEW_FAILED",
)

_NAMED = re.compile(f"({'|'.join(NAMED)})_([A-Za-z0-9][A-Za-z0-9._-]{{0,140}})", re.ASCII)


@dataclass(frozen=True)
class SignalName:
    """``subject`` is the stream's name or id that the signal speaks of ('' for a plain one)."""

    kind: str
    subject: str = ""

    @property
    def file(self) -> str:
        return f"{self.kind}_{flat(self.subject)}" if self.subject else self.kind


def parse_signal(file: str) -> SignalName | None:
    """Return what the file name says, or None for acknowledgements, temporary files and unknown names."""
    if file.endswith(".ack"):
        return None
    if file in PLAIN:
        return SignalName(file)
    found = _NAMED.fullmatch(file)
    return SignalName(found[1], found[2]) if found else None


def require_signal(word: str) -> SignalName:
    """Return the signal that a person calls ``word``, else raise ``BadInputError``."""
    found = parse_signal(flat(word))
    if found is None:
        near = nearest(word, [*PLAIN, *(f"{n}_" for n in NAMED)])
        known = ", ".join([*PLAIN, *(f"{n}_<name>" for n in NAMED)])
        meant = f"did you mean {near}? " if near else ""
        raise BadInputError(f"{shown(word)} is not a signal", f"{meant}signals are {known}")
    return found
