"""How a session ended: from what is there after it to the stream's next status."""

from __future__ import annotations

from dataclasses import dataclass

from loki_hooks.domain.status import Status


@dataclass(frozen=True)
class Ending:
    """What was found when the agent's process had ended. ``left`` are paths that stay uncommitted."""

    exit_code: int
    stopped: bool = False
    timed_out: bool = False
    commits: int = 0
    left: tuple[str, ...] = ()
    left_why: str = ""
    wrong_branch: str = ""


def status_after(ending: Ending) -> tuple[Status, str]:
    """Return the stream's status and the reason.

    A session ends well when its agent exits 0 with at least one commit since its base and nothing
    uncommitted left. Anything else is ``failed``, or ``escalated`` where only a person can say what to do.
    """
    if ending.stopped:
        return Status.STOPPED, "stopped by a person"
    if ending.timed_out:
        return Status.FAILED, "it took longer than session.timeout"
    if ending.exit_code < 0:
        return Status.FAILED, f"the agent was killed by signal {-ending.exit_code}"
    if ending.exit_code != 0:
        return Status.FAILED, f"the agent ended with exit status {ending.exit_code}"
    if ending.wrong_branch:
        return Status.ESCALATED, f"the agent left the worktree on {ending.wrong_branch}"
    if ending.left:
        more = f" and {len(ending.left) - 3} more" if len(ending.left) > 3 else ""
        return Status.ESCALATED, f"uncommitted: {', '.join(ending.left[:3])}{more}{ending.left_why and f' ({ending.left_why})'}"
    if ending.commits == 0:
        return Status.FAILED, "the agent made no commit"
    return Status.READY, ""
