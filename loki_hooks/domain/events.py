"""What happened, as sentences for people: one event of ``state/events.jsonl`` in, one line or nothing out."""

from __future__ import annotations

from collections.abc import Mapping

Event = Mapping[str, object]
_TRAIN = "train"
"""The subject of a gate that several streams share."""
_TROUBLE = frozenset(
    {
        "session-failed",
        "session-escalated",
        "session-stopped",
        "conflicted",
        "step-failed",
        "look-failed",
        "chore-failed",
        "landing-waits",
        "proposal-waits",
        "push-held",
        "push-failed",
    }
)


def sentence(event: Event, names: Mapping[str, str], integration: str) -> str:
    """Return what to tell of the event, '' for what only matters to the machinery.

    ``names`` gives the name that people typed for each stream's id.
    """
    evidence = event.get("evidence")
    facts = evidence if isinstance(evidence, Mapping) else {}
    stream = _text(event.get("stream"))
    name = names.get(stream, stream or integration)
    commit = _text(event.get("commit"))[:9]
    detail = _text(event.get("detail"))
    match _text(event.get("event")):
        case "session-started":
            return f"{name}: the agent is at work (pid {facts.get('pid')})"
        case "stage-done":
            return f"{name}: the stage {facts.get('stage')} is done; {facts.get('next')} comes next"
        case "session-ready":
            work = _count(facts.get("commits"), "commit")
            return f"{name}: the agent has ended, with {work}; signal FEATURE_READY_{name}"
        case "testing":
            return _testing(facts, names, integration)
        case "gate-passed":
            return f"{_subject(stream, names)}: the tests passed in {_seconds(facts)}"
        case "gate-failed":
            return f"{_subject(stream, names)}: the tests FAILED in {_seconds(facts)}{_blame(stream)}"
        case "gate-could-not-run":
            return f"{_subject(stream, names)}: the tests could not be run: {detail}"
        case "test-cancelled":
            return f"{_subject(stream, names)}: that test is ended: {detail}"
        case "passed" if facts.get("how") == "pr":
            return f"{name}: may be proposed; signal TESTS_PASSED_{name}"
        case "passed":
            return f"{name}: may land; signals TESTS_PASSED_{name}, MERGE_REQUESTED_{stream}"
        case "rejected":
            return f"{name}: does not land; signal TESTS_FAILED_{name}. Its branch and its worktree stay"
        case "proposed":
            return f"{name}: proposed as a pull request: {detail}"
        case "landed":
            return f"{name}: landed on {integration}, merge commit {commit}"
        case "followed" if detail:
            return f"{integration}: has moved, so {_queued(detail)}"
        case "removed":
            return f"{name}: archived; worktree and branch removed, its tip {commit} pinned below refs/loki/trash"
        case what if what in _TROUBLE:
            return f"{name}: {what.replace('-', ' ')}: {detail}"
        case _:
            return ""


def _queued(detail: str) -> str:
    """Return what became of the queues; ``detail``: ``2 docs items, 1 blog item closed``, as ``follow`` puts it."""
    parts = detail.split(", ")
    made = [part for part in parts if not part.endswith("closed")]
    signals = [
        name for name, queue in (("DOCS_NEEDED", "docs"), ("BLOG_POST_QUEUED", "blog")) if any(queue in m for m in made)
    ]
    said = [*([f"{', '.join(made)} for the queue"] if made else []), *(part for part in parts if part not in made)]
    return ", ".join(said) + (f"; signal {' and '.join(signals)}" if signals else "")


def _testing(facts: Mapping[object, object], names: Mapping[str, str], integration: str) -> str:
    streams = facts.get("streams")
    known = [names.get(s, s) for s in streams if isinstance(s, str)] if isinstance(streams, list) else []
    if not known:
        return f"{integration}: the tests run on it as it is, to compare"
    together = " together" if len(known) > 1 else ""
    merged = " and ".join([", ".join(known[:-1]), known[-1]] if len(known) > 1 else known)
    return f"{merged}: the tests run on {integration} with {'these' if together else 'this'} merged in{together}"


def _subject(stream: str, names: Mapping[str, str]) -> str:
    return "these together" if stream == _TRAIN else names.get(stream, stream)


def _blame(stream: str) -> str:
    return "; next: whose fault it is" if stream == _TRAIN else ""


def _count(number: object, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _seconds(facts: Mapping[object, object]) -> str:
    seconds = facts.get("seconds")
    return f"{seconds:.1f} s" if isinstance(seconds, int | float) else "no time"


def _text(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""
