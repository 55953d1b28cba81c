"""What people took out of the integration branch (by an amend, a rebase, a reset): no landing brings it back.

The proof that a commit was in there once: the reflog of the branch or of its upstream, the tip whose consequences were
drawn last, or a stream that began there by itself. What has a copy there that makes the same change (a rebase, another
message) was not taken out, unless its message had what may be a key, and none there has it any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from loki_hooks.actions.context import Context
from loki_hooks.actions.landing.upstream import upstream_of
from loki_hooks.domain.refs import PROCESSED
from loki_hooks.domain.secrets import key_like
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.errors import RefusedError
from loki_hooks.system.git.copies import not_copied
from loki_hooks.system.git.git import Git, split_z

_SHOWN = 3


@dataclass(frozen=True)
class TakenOut:
    """What a branch has of the integration branch's former commits, newest first.

    ``commits`` were taken out of it; ``once`` has those too whose change is still there.
    """

    commits: tuple[str, ...] = ()
    once: tuple[str, ...] = ()

    def what(self, integration: str) -> str:
        """Return it in words, '' where nothing was taken out."""
        if not self.commits:
            return ""
        shown = ", ".join(commit[:9] for commit in self.commits[:_SHOWN])
        more = f" and {len(self.commits) - _SHOWN} more" if len(self.commits) > _SHOWN else ""
        were = "were" if len(self.commits) > 1 else "was"
        return f"{len(self.commits)} of its commits {were} taken out of {integration} ({shown}{more})"

    def reason(self, name: str, integration: str) -> str:
        """Return why the stream waits, and what helps, in one line; '' where nothing was taken out."""
        return f"{self.what(integration)}: {_cure(name)}" if self.commits else ""


def _cure(name: str) -> str:
    return f"`loki-hooks sync {name}` leaves that out"


@dataclass
class Gone:
    """The commits that were in the integration branch once and are not in it at ``tip``; asked for once."""

    context: Context
    tip: str
    records: Iterable[StreamRecord]
    _known: frozenset[str] | None = None
    _by_tip: dict[str, TakenOut] = field(default_factory=dict)

    @property
    def commits(self) -> frozenset[str]:
        if self._known is None:
            self._known = _gone(self.context, self.tip, self.records)
        return self._known

    def of(self, at: str) -> TakenOut:
        """Return what of the branch at ``at`` was taken out."""
        if at not in self._by_tip:
            self._by_tip[at] = self._of(at)
        return self._by_tip[at]

    def _of(self, at: str) -> TakenOut:
        git = self.context.git
        if not self.commits:
            return TakenOut()
        once = tuple(c for c in git.out("rev-list", at, f"^{self.tip}").split() if c in self.commits)
        out = {*not_copied(git, once, self.tip), *self._with_keys(at, once)}
        return TakenOut(tuple(commit for commit in once if commit in out), once)

    def _with_keys(self, at: str, once: Sequence[str]) -> list[str]:
        """Return those whose message has what may be a key, and no message in the integration branch has it any more."""
        git = self.context.git
        if not once:
            return []
        listed = git.out("log", "--no-walk=unsorted", "-z", "--format=%H %B", "--stdin", stdin="\n".join(once).encode())
        keys = {commit: key_like(message) for commit, _, message in (e.partition(" ") for e in split_z(listed))}
        if not any(keys.values()):
            return []
        there = key_like(git.out("log", "--format=%B", self.tip, f"^{at}"))
        return [commit for commit, found in keys.items() if found - there]


def gone(context: Context, tip: str) -> Gone:
    """Return what was taken out of the integration branch, which is at ``tip``."""
    return Gone(context, tip, context.store.read().streams.values())


def _gone(context: Context, tip: str, records: Iterable[StreamRecord]) -> frozenset[str]:
    git, upstream = context.git, upstream_of(context).ref
    theirs = git.commit_id(upstream) if upstream else None
    without = [tip, *([theirs] if theirs else [])]
    was = [git.maybe("rev-list", "--walk-reflogs", ref, "--") for ref in (context.integration_ref, upstream) if ref]
    streams = tuple(records)
    began = {record.base for record in streams if record.base and not record.explicit_base}
    began |= set(git.refs(PROCESSED).values())
    logged = " ".join(filter(None, was)).split()
    found = _reached(git, [*logged, *began], without)
    if not found:
        return found
    # Another branch may have been the integration branch then: what that one has was not taken out of anything.
    ours = {f"refs/heads/{record.branch}" for record in streams}
    others = [at for ref, at in git.refs("refs/heads/").items() if ref not in ours]
    return _reached(git, logged, without) | _reached(git, list(began), [*without, *others])


def _reached(git: Git, tips: Sequence[str], without: Sequence[str]) -> frozenset[str]:
    lines = "".join(f"{commit}\n" for commit in (*tips, *(f"^{commit}" for commit in without)))
    return frozenset(git.out("rev-list", "--ignore-missing", "--stdin", stdin=lines.encode()).split())


def require_nothing_taken_out(context: Context, record: StreamRecord, at: str) -> None:
    """Raise ``RefusedError`` where the stream, at ``at``, would bring back what was taken out."""
    tip = context.git.commit_id(context.integration_ref)
    what = gone(context, tip).of(at).what(context.integration) if tip else ""
    if what:
        raise RefusedError(f"{record.name} does not land as it is: {what}", _cure(record.name))
