"""Streams come and go: they are found, made, moved, merged, removed by others; they become ready, and wait for something."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from loki_hooks.domain.reconcile.base import MainStep, StreamStep
from loki_hooks.domain.reconcile.facts import Facts, Found, StreamFacts
from loki_hooks.domain.streams.failures import LOOK
from loki_hooks.domain.streams.record import SETUP_WAITS, StreamRecord
from loki_hooks.domain.streams.status import HANDED_IN, IN_TRAIN, LIVING, MENDABLE, Status


@dataclass(frozen=True)
class Unseen(StreamStep):
    """The stream cannot be looked at."""

    word: ClassVar[str] = "unseen"
    reason: str


@dataclass(frozen=True)
class Seen(StreamStep):
    """The stream can be looked at again."""

    word: ClassVar[str] = "seen"


@dataclass(frozen=True)
class Adopt(MainStep):
    """Make a stream of a worktree that somebody made."""

    word: ClassVar[str] = "adopt"
    found: Found

    @property
    def target(self) -> str:
        return self.found.path

    @property
    def subject(self) -> str:
        return self.found.name


@dataclass(frozen=True)
class SetUp(StreamStep):
    """Set up an adopted worktree that waited for the user's word."""

    word: ClassVar[str] = "set-up"


@dataclass(frozen=True)
class Prepare(StreamStep):
    """Make the worktree of a planned stream: its turn has come, or the spawn that began to make it was killed."""

    word: ClassVar[str] = "prepare"


@dataclass(frozen=True)
class Moved(StreamStep):
    """The stream's worktree is at ``path`` now."""

    word: ClassVar[str] = "moved"
    path: str


@dataclass(frozen=True)
class Renamed(StreamStep):
    """The stream's branch is called ``branch`` now."""

    word: ClassVar[str] = "renamed"
    branch: str


@dataclass(frozen=True)
class Anew(StreamStep):
    """The stream's branch, at ``commit``, is another one of the same name: nobody has said that it is ready."""

    word: ClassVar[str] = "made-anew"
    commit: str


@dataclass(frozen=True)
class Vanished(StreamStep):
    """Somebody removed the stream's branch and its worktree."""

    word: ClassVar[str] = "vanished"
    reason: ClassVar[str] = "its branch and its worktree were removed"


@dataclass(frozen=True)
class SeenMerged(StreamStep):
    """The stream's tip, ``commit``, is in the integration branch, however it got there."""

    word: ClassVar[str] = "seen-merged"
    commit: str


@dataclass(frozen=True)
class Ready(StreamStep):
    """The stream may join the train as it is at ``commit``."""

    word: ClassVar[str] = "ready"
    reason: str
    commit: str


@dataclass(frozen=True)
class Note(StreamStep):
    """Say what the stream waits for. One whose tests were under way is ready again."""

    word: ClassVar[str] = "note"
    reason: str


def waits_for_setup(record: StreamRecord) -> bool:
    """Return whether the stream's worktree was adopted before the user trusted what sets it up."""
    return record.status in LIVING and record.reason.startswith(SETUP_WAITS)


def looks(facts: Facts) -> Iterator[Unseen | Seen]:
    """Say once that a stream cannot be looked at, and once that it can again.

    Another reason is said when it is time to try again: one that differs each time would never let a pass end.
    """
    for s in facts.streams:
        before = s.record.failures.get(LOOK)
        if s.unseen and (before is None or (before.reason != s.unseen and LOOK not in s.put_off)):
            yield Unseen(s.record.stream, s.unseen)
        elif before is not None and not s.unseen:
            yield Seen(s.record.stream)


def come_and_go(facts: Facts) -> Iterator[Adopt | SetUp | Prepare | Moved | Renamed | Anew | Vanished]:
    """Bring the table up to what others made, moved and removed."""
    for found in facts.found:
        yield Adopt(found)
    for s in facts.streams:
        record = s.record
        if record.waits_in_plan:
            continue  # its turn comes as that of what is queued does (`start`)
        if waits_for_setup(record) and s.worktree and not facts.untrusted:
            yield SetUp(record.stream)
        if record.status is Status.PLANNED and not s.claim_alive:
            yield Prepare(record.stream)
        elif s.session_alive or s.claim_alive:
            continue
        elif s.moved:
            yield Moved(record.stream, s.moved)
        elif s.renamed and record.status in LIVING:
            yield Renamed(record.stream, s.renamed)
        elif s.anew and record.status in HANDED_IN:
            yield Anew(record.stream, s.tip)
        elif record.status in LIVING and not s.there:
            yield Vanished(record.stream)


def merged_or_ready(facts: Facts) -> Iterator[SeenMerged | Ready]:
    """Decide which streams are merged already, and which may join the train as they are now."""
    for s in facts.streams:
        record, status = s.record, s.record.status
        if s.session_alive or s.claim_alive or not s.tip or (s.anew and status in HANDED_IN):
            continue
        if s.merged and status in LIVING and status is not Status.PLANNED:
            yield SeenMerged(record.stream, s.tip)
        elif status is Status.CONFLICTED and s.tip != record.tip:
            yield Ready(record.stream, "it has new commits", s.tip)
        elif status in IN_TRAIN and s.tip != record.tip:
            yield Ready(record.stream, "its tip moved", s.tip)
        elif s.signalled and s.tip != record.base and status in (MENDABLE if s.tip != record.tip else {Status.OPEN}):
            yield Ready(record.stream, "FEATURE_READY", s.tip)


def why_not_ready(record: StreamRecord, tip: str) -> str:
    """Return why FEATURE_READY changes nothing for a stream whose branch is at ``tip``, '' where it does, or may yet."""
    if record.status in {Status.MERGED, Status.ARCHIVED, Status.ABANDONED}:
        return "has landed already" if record.landed or record.status is Status.MERGED else f"is {record.status}"
    if record.status is Status.KEPT:
        return f"is {record.status}: `loki-hooks finish {record.name} --merge` lands it"
    if record.status not in MENDABLE | {Status.CONFLICTED}:
        return ""
    if not tip:
        return f"has no branch {record.branch} any more"
    if tip == record.base:
        return "has no commit of its own yet"
    if tip == record.tip and record.status is not Status.OPEN:
        return f"is {record.status} as it is, and has no new commit since"
    return ""


def note(streams: Iterable[StreamFacts], reason: str) -> Iterator[Note]:
    """Say of each of the streams what it waits for, where it does not say so yet."""
    for s in streams:
        if s.record.reason != reason or s.record.status is Status.TESTING:
            yield Note(s.record.stream, reason)
