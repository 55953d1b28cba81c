"""What a pass can do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from loki_hooks.domain.train.search import Car


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
