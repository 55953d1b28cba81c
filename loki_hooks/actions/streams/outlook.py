"""How a stream stands to the integration branch before it is finished or brought up to date."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.domain.removal.classify import Going
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.status import Status
from loki_hooks.errors import LokiError, RefusedError
from loki_hooks.system.git.git import Git
from loki_hooks.system.git.graph import ahead_behind
from loki_hooks.system.git.squashed import merge_stacked
from loki_hooks.system.git.status import Care, entries
from loki_hooks.system.processes.alive import is_alive
from loki_hooks.system.worktrees.setup_made import left_by_setup


@dataclass(frozen=True)
class Outlook:
    """``conflicts``: paths that merging would conflict in. ``uncommitted``: paths that are in no commit."""

    tip: str
    ahead: int = 0
    behind: int = 0
    conflicts: tuple[str, ...] = ()
    uncommitted: tuple[str, ...] = ()

    def sentence(self, name: str, into: str) -> str:
        """Return it for people: how far behind, and which files would conflict."""
        text = f"{name} is {self.ahead} commit{'' if self.ahead == 1 else 's'} ahead of {into} and {self.behind} behind"
        if self.conflicts:
            text += f"; it would conflict in {', '.join(self.conflicts[:10])}"
        return text


def look_ahead(context: Context, record: StreamRecord) -> Outlook:
    """Return how the stream stands now. Changes nothing."""
    tip = context.git.commit_id(f"refs/heads/{record.branch}") or ""
    base = context.git.commit_id(context.integration_ref)
    uncommitted = uncommitted_in(context, record)
    if not tip or base is None:
        return Outlook(tip, uncommitted=uncommitted)
    ahead, behind = ahead_behind(context.site, base, [tip])[tip]
    return Outlook(tip, ahead, behind, merge_stacked(context.git, base, tip).conflicts if behind else (), uncommitted)


def uncommitted_in(context: Context, record: StreamRecord, care: Care = Care.USUAL) -> tuple[str, ...]:
    """Return the paths in the stream's worktree that are changed, staged or untracked; () where it has no worktree.

    What set-up left there is nobody's work.
    What git was told not to look at hinders no merge: only ``care`` finds it.
    """
    path = Path(record.path)
    if not record.path or not (path / ".git").exists():
        return ()
    found = entries(Git(path, of=context.site.common), care=care, submodules=False)
    made = left_by_setup(path) if found else frozenset()
    return tuple(entry.path for entry in found if not (entry.untracked and entry.path in made))


def require_finishable(record: StreamRecord, *, giving_up: bool = False) -> None:
    """Raise ``RefusedError`` for a stream that cannot be finished by a person now.

    One of which nothing was made yet can only be given up.
    """
    if record.waits_in_plan:
        if giving_up:
            return
        raise RefusedError(
            f"{record.name} has not begun: it waits for its turn",
            f"`loki-hooks finish {record.name} --abandon` gives it up",
        )
    if record.standing:
        raise RefusedError(f"{record.stream} is a standing stream: it does not end", "see `loki-hooks status`")
    if record.status is Status.ARCHIVED:
        raise RefusedError(f"{record.name} is archived already", f"`loki-hooks restore {record.name}` brings it back")
    if is_alive(record.session) or is_alive(record.claim):
        raise RefusedError(f"the session of {record.name} is alive", f"end it first: `loki-hooks stop {record.name}`")
    if record.status in {Status.PLANNED, Status.PREPARING, Status.RUNNING, Status.QUEUED}:
        raise RefusedError(
            f"{record.name} waits for a session ({record.status})",
            f"take it out of the queue: `loki-hooks stop {record.name}`",
        )


def require_committed(record: StreamRecord, outlook: Outlook) -> None:
    """Raise ``RefusedError`` when the worktree holds what no commit has: finishing never discards it."""
    if outlook.uncommitted:
        shown = ", ".join(outlook.uncommitted[:5]) + (" …" if len(outlook.uncommitted) > 5 else "")
        raise RefusedError(
            f"{record.name} has uncommitted work: {shown}",
            f"commit it in {record.path}, or give all up with `loki-hooks finish {record.name} --abandon`",
        )


def require_work(context: Context, record: StreamRecord, outlook: Outlook) -> None:
    """Raise ``LokiError`` when there is nothing to merge or to propose."""
    if not outlook.tip:
        raise LokiError(
            f"the branch {record.branch} of {record.name} is gone",
            f"`loki-hooks restore --list` shows what was removed; `loki-hooks finish {record.name} "
            "--abandon` takes it off the list",
        )
    if not outlook.ahead:
        raise RefusedError(
            f"{record.name} has no commit that {context.integration} does not have",
            f"`loki-hooks finish {record.name} --abandon` ends it",
        )


def refuse(record: StreamRecord, reasons: tuple[str, ...], going: Going) -> RefusedError:
    return RefusedError(f"{record.name}: the {going.value} cannot go: {'; '.join(reasons)}", "nothing was changed")
