"""What a pass knows: everything that the deciders look at, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from loki_hooks.domain.gates.results import Comparison, Standing
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import IN_TRAIN, LIVING
from loki_hooks.domain.train.search import Car, Train, Without
from loki_hooks.domain.writing.rounds import Writer


@dataclass(frozen=True)
class Found:
    """A worktree that git lists and the state does not have. ``note``: why it is called otherwise than its branch."""

    path: str
    branch: str
    kind: str
    name: str
    head: str
    note: str = ""
    again: bool = False
    """Its stream had landed, and new work was begun in it."""


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
    solo_reason: str = ""
    """Why it is that a gate could not be run on it merged alone."""
    compared: Comparison = Comparison.NOTHING
    """What is to be done then; ``alone`` is what it is tested as."""
    conflicts: tuple[str, ...] = ()
    proposes: bool = False
    alone: Car | None = None
    taken_out: str = ""
    """Why it must not land as it is ('' when it may): it has what was taken out of the integration branch."""
    renamed: str = ""
    """What its branch is called now, where somebody renamed it."""
    anew: bool = False
    """Its branch was deleted, and made anew under its name."""
    unseen: str = ""
    put_off: frozenset[str] = frozenset()

    @property
    def there(self) -> bool:
        """Whether anything of it is left: its branch, its worktree (though it may be away), a safe snapshot."""
        return bool(self.tip or self.worktree or self.away or self.safe)

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
    base_reason: str = ""
    """Why the tip's own tree does not pass."""
    tip_tree: str = ""
    train_problem: str = ""
    """Why no train can be built ('' when one can): git has no identity to commit with, say."""
    gates: bool = True
    rests: Mapping[int, Without] = field(default_factory=dict)
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
    given_up: frozenset[str] = frozenset()
    """Archived streams that never landed."""
    writers: tuple[Writer, ...] = ()
    """The streams that write what landed: ``docs``, ``blog``."""
    now: str = ""
    """The time, as the records write it."""
    put_off: frozenset[str] = frozenset()
    """The steps that are about no stream (``Step.key``), failed, and are not tried again yet."""

    @property
    def room_for_worktree(self) -> bool:
        """Whether ``worktrees.max`` leaves room for one more."""
        if self.worktrees_max is None:
            return True
        made = sum(1 for s in self.streams if s.worktree and not s.record.standing and s.record.status in LIVING)
        return made < self.worktrees_max
