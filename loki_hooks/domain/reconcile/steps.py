"""What a pass knows (its facts) and what it can do (its steps): the words between gathering, deciding and applying."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from loki_hooks.domain.gates.results import Standing
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import IN_TRAIN
from loki_hooks.domain.train.search import Car, Rest, Train
from loki_hooks.domain.writing.rounds import Writer


class Verb(StrEnum):
    UNSEEN = "unseen"
    SEEN = "seen"
    ADOPT = "adopt"
    PREPARE = "prepare"
    FAIL = "fail"
    SEEN_MERGED = "seen-merged"
    VANISHED = "vanished"
    MOVED = "moved"
    READY = "ready"
    CONFLICT = "conflict"
    TEST = "test"
    CANCEL = "cancel"
    PASS = "pass"  # noqa: S105  a verb, not a password
    REJECT = "reject"
    NOTE = "note"
    LAND = "land"
    PROPOSE = "propose"
    FORWARD = "forward"
    PUSH = "push"
    FOLLOW = "follow"
    SETTLE = "settle"
    CLEAN = "clean"
    REST = "rest"
    BEGIN = "begin"
    START = "start"


class Went(StrEnum):
    DONE = "done"
    WAITS = "waits"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """What became of a step. ``retry_after``: after how many seconds what failed is tried again."""

    how: Went
    reason: str = ""
    retry_after: float = 0.0


DONE = Outcome(Went.DONE)


def done(reason: str) -> Outcome:
    return Outcome(Went.DONE, reason)


def waits(reason: str) -> Outcome:
    return Outcome(Went.WAITS, reason)


def failed(reason: str, retry_after: float = 0.0) -> Outcome:
    return Outcome(Went.FAILED, reason, retry_after)


@dataclass(frozen=True)
class Step:
    """One thing to do. ``stream`` '' means that it is about the integration branch.

    ``commit`` and ``tree``: what is tested, landed, moved to, pushed; ``old``: what it moves from; ``path`` and
    ``branch``: the worktree that is adopted, or where a stream's is now. ``reason`` of a push: why it has to wait, '' when
    it need not. ``pin``: under which name the tested train is kept, '' for not at all; ``places``: how many tests there
    may be at once when this one is made.
    """

    verb: Verb
    stream: str = ""
    reason: str = ""
    commit: str = ""
    tree: str = ""
    old: str = ""
    path: str = ""
    branch: str = ""
    kind: str = ""
    name: str = ""
    cars: tuple[Car, ...] = ()
    paths: tuple[str, ...] = ()
    pin: str = ""
    places: int = 1

    @property
    def key(self) -> str:
        """Under which name its failure is kept: the verb, and what it is about where that is no stream."""
        of_no_stream = not self.stream or self.verb in {Verb.BEGIN, Verb.REST}
        about = self.stream or self.tree or self.path or self.commit
        return f"{self.verb.value} {about}" if of_no_stream else self.verb.value


@dataclass(frozen=True)
class Found:
    """A worktree that git lists and the state does not have, whose branch fits a kind's template."""

    path: str
    branch: str
    kind: str
    name: str
    head: str


@dataclass(frozen=True)
class StreamFacts:
    """A stream as it is. ``tip`` is '' when its branch is gone; ``signalled``: it, or a person, said that it is ready.

    ``merged``: its tip, with work of its own, is in the integration branch. ``solo``: how the tree of it
    alone merged into the integration branch stands, None when it ``conflicts`` (paths) or was not looked at.
    ``worktree`` False: it is not in its place; ``away`` says why that does not prove that it is gone ('': git does not
    know of any), ``moved`` where git says that it is now.
    ``safe``: branch and worktree are gone, and a safe snapshot has work that is nowhere else.
    ``proposes``: it lands by a pull request, tested alone as ``alone`` (None while that need not be tested).
    ``unseen``: why it could not be looked at, '' when it could; nothing else that is said of it counts then.
    ``put_off``: the steps of it that failed and are not tried again yet.
    """

    record: StreamRecord
    tip: str = ""
    worktree: bool = True
    away: str = ""
    moved: str = ""
    session_alive: bool = False
    claim_alive: bool = False
    signalled: bool = False
    safe: bool = False
    merged: bool = False
    solo: Standing | None = None
    solo_tree: str = ""
    conflicts: tuple[str, ...] = ()
    proposes: bool = False
    alone: Car | None = None
    taken_out: str = ""
    """Why it must not land as it is ('' when it may): it has what was taken out of the integration branch."""
    unseen: str = ""
    put_off: frozenset[str] = frozenset()

    @property
    def wanted(self) -> bool:
        """Whether a person asked to merge just this tip."""
        return bool(self.tip) and self.record.wanted == self.tip

    @property
    def in_train(self) -> bool:
        """Whether it takes part in the train: one of whose steps failed does not hold the others up meanwhile."""
        there = self.record.status in IN_TRAIN and not self.merged and bool(self.tip) and self.tip == self.record.tip
        return there and not self.unseen and not self.put_off


@dataclass(frozen=True)
class Join:
    """What merging the integration branch with its upstream gives, or the ``problem`` that there is with it."""

    commit: str = ""
    tree: str = ""
    problem: str = ""
    standing: Standing = Standing.UNKNOWN


@dataclass(frozen=True)
class Facts:
    """Everything that a pass looks at.

    ``tip``: the integration branch's commit ('' when it has none); ``upstream``: its remote's, '' for none;
    ``diverged``/``behind``/``ahead`` compare the two. ``processed``: the tip whose consequences were drawn.
    ``base``: how the tip's own tree stands. ``rests``: by car, the trains without it that are compared. ``running``:
    the trees that passes have under test right now, of at most ``slots`` at once; they stand as unknown till then.
    ``untrusted``: why nothing of the repository's may be run ('' when it may).
    """

    tip: str
    streams: tuple[StreamFacts, ...] = ()
    found: tuple[Found, ...] = ()
    upstream: str = ""
    behind: bool = False
    diverged: bool = False
    ahead: bool = False
    join: Join | None = None
    """Where the two have diverged and pushing is ours: the two merged."""
    processed: str = ""
    train: Train | None = None
    standings: tuple[Standing, ...] = ()
    base: Standing = Standing.UNKNOWN
    tip_tree: str = ""
    train_problem: str = ""
    """Why no train can be built ('' when one can): git has no identity to commit with, say."""
    gates: bool = True
    rests: Mapping[int, Rest] = field(default_factory=dict)
    running: frozenset[str] = frozenset()
    slots: int = 1
    cap: int = 0
    worktrees_max: int | None = None
    untrusted: str = ""
    merge_auto: bool = True
    merge_push: bool = False
    cleanup_auto: bool = True
    kept: frozenset[str] = field(default_factory=frozenset)
    """Streams whose removal was already refused on the same facts in this pass."""
    writers: tuple[Writer, ...] = ()
    """The streams that write what landed: ``docs``, ``blog``."""
    now: str = ""
    """The time, as the records write it."""
    put_off: frozenset[str] = frozenset()
    """The steps that are about no stream (``Step.key``), failed, and are not tried again yet."""
