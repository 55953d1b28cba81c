"""How a session ended: from what is there after it to the stream's next status."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from loki_hooks.domain.sessions.agents import BY_EXIT_STATUS
from loki_hooks.domain.sessions.named_time import seconds_until_named
from loki_hooks.domain.streams.stages import ANALYZE, BUILD, PLAN_FILE
from loki_hooks.domain.streams.status import Status

TAIL_LINES = 15
"""So many last lines of a log are searched: an agent that goes on after having been turned away has more to say."""
_STAMP = re.compile(r"\A\d\d:\d\d:\d\d ")
_COLOUR = re.compile(r"\x1b\[[0-9;:]*[A-Za-z]")
_OF_WORK = re.compile(
    r"^\s*([+>@]|-{1,3}\S|diff |E {2,}|(FAILED|PASSED|ok|not ok)\b)|\btest_|\w\.(py|[jt]sx?|go|rs|rb|java|md)\b|\bassert"
    r"|\d (passed|failed)\b|✓|\b(add(ed|s)?|implement(ed|s)?|fix(ed|es)?|refactor(ed|s)?|commit(ted)?|feat|docs)\b",
    re.IGNORECASE,
)
"""What an agent says of its work, which may be about limits itself: no provider speaks so."""


class Trouble(StrEnum):
    """What a run came to grief on, where there is something to say about that to the next one.

    Each has a hint of its name in ``templates/hints/``.
    """

    REJECTED = "rejected"
    CONFLICTED = "conflicted"
    REFUSED = "refused"
    UNCOMMITTED = "uncommitted"
    WRONG_BRANCH = "wrong-branch"
    NO_COMMIT = "no-commit"
    NO_PLAN = "no-plan"
    TIMED_OUT = "timed-out"
    TURNED_AWAY = "turned-away"
    SETUP_FAILED = "setup-failed"
    RUNNER_DIED = "runner-died"


@dataclass(frozen=True)
class Ending:
    """What was found when the agent's process had ended. ``left`` are paths that stay uncommitted.

    ``turned_away`` is the line that says that its provider turned it away ('' for none). ``planned``: the analysis left a
    plan. ``refused``: why the review says that the work is not good enough ('' when it does not). ``rule`` names the agent's
    own way to say how it ended (see ``RULES``), ``tail`` is the end of its log.
    """

    exit_code: int
    stopped: bool = False
    timed_out: bool = False
    commits: int = 0
    left: tuple[str, ...] = ()
    left_why: str = ""
    wrong_branch: str = ""
    turned_away: str = ""
    stage: str = BUILD
    planned: bool = False
    refused: str = ""
    setup_failed: bool = False
    nothing_to_do: bool = False
    """It was given items, and has said of each that it is done: a document may be right as it is."""
    rule: str = BY_EXIT_STATUS
    tail: str = field(default="", repr=False)


Judged = tuple[Status, str, Trouble | None]
"""The status after a session, the reason, and what the next run shall be told."""


def status_after(ending: Ending) -> tuple[Status, str]:
    """Return the stream's status and the reason; ``ready`` means that this stage ended well.

    A session ends well when its agent exits 0 with at least one commit since its base and nothing
    uncommitted left; an analysis needs no commit, but a plan. Anything else is ``failed``, or ``escalated`` where only a
    person can say what to do: also a review that says no, whatever its exit status.
    """
    status, reason, _ = _judge(ending)
    return status, reason


def trouble_of(ending: Ending) -> str:
    """Return what the run came to grief on, '' where the next one needs no hint about it."""
    status, _, trouble = _judge(ending)
    if ending.turned_away and status is Status.FAILED and trouble in {None, Trouble.NO_COMMIT, Trouble.NO_PLAN}:
        trouble = Trouble.TURNED_AWAY
    return trouble.value if trouble is not None else ""


def ended_well(ending: Ending) -> bool:
    """Return whether the agent's program itself ended well, whatever there is of its work."""
    status, _ = status_after(replace(ending, commits=1, left=(), wrong_branch="", planned=True, refused=""))
    return status is Status.READY


def _judge(ending: Ending) -> Judged:
    """What the runner and the review know counts for every agent; the rest is for the agent's own rule."""
    if ending.stopped:
        return Status.STOPPED, "stopped by a person", None
    if ending.setup_failed:
        return Status.FAILED, "its set-up failed", Trouble.SETUP_FAILED
    if ending.timed_out:
        return Status.FAILED, "it took longer than session.timeout", Trouble.TIMED_OUT
    if ending.refused:
        return Status.ESCALATED, f"the review says no: {ending.refused}", Trouble.REFUSED
    return RULES.get(ending.rule, by_exit_status)(ending)


def by_exit_status(ending: Ending) -> Judged:
    """An agent that exits 0 means that it is done; then its work is looked at."""
    if ending.exit_code < 0:
        return Status.FAILED, f"the agent was killed by signal {-ending.exit_code}", None
    if ending.exit_code != 0:
        return Status.FAILED, f"the agent ended with exit status {ending.exit_code}", None
    return by_work(ending)


def by_work(ending: Ending) -> Judged:
    """Judge what an agent that ended well has left in its worktree. For every rule to end with."""
    if ending.wrong_branch:
        return Status.ESCALATED, f"the agent left the worktree on {ending.wrong_branch}", Trouble.WRONG_BRANCH
    if ending.left:
        more = f" and {len(ending.left) - 3} more" if len(ending.left) > 3 else ""
        named = f"uncommitted: {', '.join(ending.left[:3])}{more}{ending.left_why and f' ({ending.left_why})'}"
        return Status.ESCALATED, named, Trouble.UNCOMMITTED
    if ending.commits == 0 and ending.nothing_to_do:
        return Status.IDLE, "nothing had to be changed", None
    if ending.stage == ANALYZE:
        if not ending.planned:
            return Status.FAILED, f"the analysis left no plan (.loki/{PLAN_FILE})", Trouble.NO_PLAN
    elif ending.commits == 0:
        return Status.FAILED, "the agent made no commit", Trouble.NO_COMMIT
    return Status.READY, "", None


RULES: Mapping[str, Callable[[Ending], Judged]] = {BY_EXIT_STATUS: by_exit_status}
"""How the end of an agent is read, by the name that the agent has for it."""


def waits_for_its_provider(ending: Ending, tries: int, most: int) -> bool:
    """Return whether the stream is to be queued again: it failed, its provider turned it away, not yet too often in a row.

    One that was stopped, took too long, or did its work all the same did not end because of that.
    """
    status, _ = status_after(ending)
    return status is Status.FAILED and bool(ending.turned_away) and not ending.timed_out and tries < most


def plain_line(line: str) -> str:
    """Return a line of a session's log without the runner's time and without colours."""
    return _COLOUR.sub("", _STAMP.sub("", line)).strip()


def turned_away(tail: str, words: Iterable[str]) -> str:
    """Return the last of the log's last lines in which one of ``words`` (regular expressions) is found, '' for none."""
    patterns = [re.compile(word, re.IGNORECASE) for word in words]
    for line in reversed([text for raw in tail.splitlines() if (text := plain_line(raw))][-TAIL_LINES:]):
        cut = line[:1000]
        if any(pattern.search(cut) for pattern in patterns) and not _OF_WORK.search(cut):
            return cut
    return ""


def seconds_to_wait(said: str, now: float, tries: int, wait: float, longest: float) -> float:
    """Return how long to wait: as long as the provider said, else ``wait``, doubled for each try before, up to ``longest``.

    ``now`` is the time in seconds since 1970. A provider that names a time is believed for a week at most.
    """
    named = seconds_until_named(said, now)
    if named is not None:
        return named
    doubled = wait * 2.0 ** min(tries, 30)
    return min(doubled, max(wait, longest))
