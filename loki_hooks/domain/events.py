"""What happened, as sentences for people: one event of ``state/events.jsonl`` in, one line or nothing out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from loki_hooks.domain.landing.ways import proposes

Event = Mapping[str, object]
_TRAIN = "train"
"""The subject of a gate that several streams share."""


@dataclass(frozen=True)
class _Told:
    """One event, as its sentence needs it. ``name`` is what people call the stream, or the integration branch."""

    event: str
    stream: str
    name: str
    commit: str
    detail: str
    facts: Mapping[object, object]
    names: Mapping[str, str]
    integration: str

    @property
    def subject(self) -> str:
        return "these together" if self.stream == _TRAIN else self.names.get(self.stream, self.stream)

    @property
    def seconds(self) -> str:
        seconds = self.facts.get("seconds")
        return f"{seconds:.1f} s" if isinstance(seconds, int | float) else "no time"


def sentence(event: Event, names: Mapping[str, str], integration: str) -> str:
    """Return what to tell of the event, '' for what only matters to the machinery.

    ``names`` gives the name that people typed for each stream's id.
    """
    kind = _text(event.get("event"))
    say = EVENTS.get(kind)
    if say is None:
        return ""
    evidence = event.get("evidence")
    stream = _text(event.get("stream"))
    return say(
        _Told(
            kind,
            stream,
            names.get(stream, stream or integration),
            _text(event.get("commit"))[:9],
            _text(event.get("detail")),
            evidence if isinstance(evidence, Mapping) else {},
            names,
            integration,
        )
    )


def _trouble(t: _Told) -> str:
    return f"{t.name}: {t.event.replace('-', ' ')}: {t.detail}"


def _passed(t: _Told) -> str:
    if proposes(t.facts.get("how")):
        return f"{t.name}: may be proposed; signal TESTS_PASSED_{t.name}"
    return f"{t.name}: may land; signals TESTS_PASSED_{t.name}, MERGE_REQUESTED_{t.stream}"


def _testing(t: _Told) -> str:
    streams = t.facts.get("streams")
    known = [t.names.get(s, s) for s in streams if isinstance(s, str)] if isinstance(streams, list) else []
    if not known:
        return f"{t.integration}: the tests run on it as it is, to compare"
    together = " together" if len(known) > 1 else ""
    merged = " and ".join([", ".join(known[:-1]), known[-1]] if len(known) > 1 else known)
    return f"{merged}: the tests run on {t.integration} with {'these' if together else 'this'} merged in{together}"


def _followed(t: _Told) -> str:
    made, closed, signals = [], [], []
    for queue, signal in (("docs", "DOCS_NEEDED"), ("blog", "BLOG_POST_QUEUED")):
        counts = t.facts.get(queue)
        new, done = (_number(counts, "made"), _number(counts, "closed")) if isinstance(counts, Mapping) else (0, 0)
        if new:
            made.append(_count(new, f"{queue} item"))
            signals.append(signal)
        if done:
            closed.append(f"{_count(done, f'{queue} item')} closed")
    if not made and not closed:
        return ""
    said = [*([f"{', '.join(made)} for the queue"] if made else []), *closed]
    return f"{t.integration}: has moved, so {', '.join(said)}" + (
        f"; signal {' and '.join(signals)}" if signals else ""
    )


def _number(counts: Mapping[object, object], key: str) -> int:
    value = counts.get(key)
    return value if type(value) is int else 0


def _count(number: object, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _text(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


EVENTS: Mapping[str, Callable[[_Told], str] | None] = {
    # Sessions, and what is made for them
    "spawned": None,
    "plan-entered": lambda t: f"a plan was entered: {t.detail}",
    "spawn-failed": None,
    "rolled-back": None,
    "adopted": lambda t: f"{t.name}: adopted from {t.facts.get('path')}" + (f"; {t.detail}" if t.detail else ""),
    "registered": None,
    "environment-copied": None,
    "environment-not-copied": None,
    "set-up": None,
    "setup-failed": None,
    "preparing": None,
    "tmux-opened": None,
    "tmux-failed": None,
    "session-started": lambda t: f"{t.name}: the agent is at work (pid {t.facts.get('pid')})",
    "leftovers-committed": None,
    "stage-done": lambda t: f"{t.name}: the stage {t.facts.get('stage')} is done; {t.facts.get('next')} comes next",
    "turned-away": None,
    "session-ready": lambda t: (
        f"{t.name}: the agent has ended, with {_count(t.facts.get('commits'), 'commit')}; signal FEATURE_READY_{t.name}"
    ),
    "session-failed": _trouble,
    "session-escalated": _trouble,
    "session-stopped": _trouble,
    "session-idle": None,
    "stopped": None,
    "resumed": None,
    "refused-to-session": None,
    "items-settled": None,
    "continuity-not-noted": None,
    "away-not-kept": None,
    # Gates and the train
    "ready": None,
    "conflicted": _trouble,
    "prediction-failed": None,
    "testing": _testing,
    "test-cancelled": lambda t: f"{t.subject}: that test is ended: {t.detail}",
    "gate-passed": lambda t: f"{t.subject}: the tests passed in {t.seconds}",
    "gate-failed": lambda t: (
        f"{t.subject}: the tests FAILED in {t.seconds}{'; next: whose fault it is' if t.stream == _TRAIN else ''}"
    ),
    "gate-could-not-run": lambda t: f"{t.subject}: the tests could not be run: {t.detail}",
    "gate-flaky": None,
    "gate-pre-existing": None,
    "results-not-shown": None,
    "passed": _passed,
    "merge-request-withheld": None,
    "rejected": lambda t: f"{t.name}: does not land; signal TESTS_FAILED_{t.name}. Its branch and its worktree stay",
    # Landing
    "asked-to-merge": None,
    "landed": lambda t: f"{t.name}: landed on {t.integration}, merge commit {t.commit}",
    "landing-waits": _trouble,
    "merged": None,
    "proposed": lambda t: f"{t.name}: proposed as a pull request: {t.detail}",
    "proposal-waits": _trouble,
    "followed": _followed,
    "synced": None,
    "fetch-failed": None,
    "forwarded": None,
    "pushed": None,
    "push-held": _trouble,
    "push-failed": _trouble,
    "moved-untested": _trouble,
    "hooks-put-back": _trouble,
    "hooks-lost": _trouble,
    "gates-held": _trouble,
    # Worktrees that come and go
    "moved": None,
    "branch-renamed": lambda t: f"{t.name}: its branch {t.detail}",
    "made-anew": _trouble,
    "vanished": None,
    "restored": None,
    "removed": lambda t: (
        f"{t.name}: archived; worktree and branch removed, its tip {t.commit} pinned below refs/loki/trash"
    ),
    "kept": None,
    "abandoned": None,
    "expired": None,
    "repaired": None,
    # What went wrong in a pass
    "step-failed": _trouble,
    "look-failed": _trouble,
    "chore-failed": _trouble,
    "failure-not-kept": None,
    "pass-unfinished": None,
}
"""Every event that is recorded, each with its sentence; None: it only matters to the machinery."""
