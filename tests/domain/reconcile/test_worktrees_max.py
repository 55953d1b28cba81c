"""`worktrees.max` holds back what is queued without a worktree of its own, and nothing else."""

from __future__ import annotations

import pytest

from loki_hooks.domain.reconcile.decide import decide
from loki_hooks.domain.reconcile.facts import Facts, StreamFacts
from loki_hooks.domain.reconcile.sessions import Start
from loki_hooks.domain.reconcile.streams import Note
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import Status


def stream(name: str, status: Status, *, worktree: bool) -> StreamFacts:
    record = StreamRecord("feature", name, status, f"/w/{name}", f"feature/{name}", base="b")
    return StreamFacts(record, tip="b", worktree=worktree)


@pytest.mark.parametrize(("most", "started"), [(None, True), (1, False), (2, False), (3, True)])
def test_what_has_none_waits_for_one_to_go(most: int | None, started: bool) -> None:
    streams = (
        stream("a", Status.OPEN, worktree=True),
        stream("b", Status.OPEN, worktree=True),
        stream("gone", Status.MERGED, worktree=True),
        stream("next", Status.QUEUED, worktree=False),
    )
    steps = [
        s for s in decide(Facts("b", streams, processed="b", cap=9, worktrees_max=most)) if s.stream == "feature-next"
    ]
    assert [type(s) for s in steps] == [Start if started else Note]
    assert started or [f"worktrees.max is {most}" in s.reason for s in steps if isinstance(s, Note)] == [True]


def test_what_has_one_starts() -> None:
    streams = (stream("a", Status.OPEN, worktree=True), stream("mine", Status.QUEUED, worktree=True))
    steps = decide(Facts("b", streams, processed="b", cap=9, worktrees_max=1))
    assert [s.stream for s in steps if isinstance(s, Start)] == ["feature-mine"]
