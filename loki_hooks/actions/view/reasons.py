"""A stored reason is shown only after it was looked at again: what it says may have ended since."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from loki_hooks.actions.consent import untrusted_reason
from loki_hooks.actions.context import Context
from loki_hooks.actions.landing.advance import obstacle
from loki_hooks.domain.refs import TRAIN
from loki_hooks.domain.streams.record import SETUP_WAITS, WAITS_TO_LAND, YOUR_WORD, StreamRecord, waits_for_person
from loki_hooks.system.git.git import list_worktrees
from loki_hooks.system.git.operations import branch_held_by_operation

OVER = "what it waited for is over: it goes on in a moment"


class Reasons:
    """Looks at reasons again. ``over``: the streams that wait for nothing any more, whatever the state says still."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.over: list[str] = []

    def look_again(self, record: StreamRecord) -> StreamRecord:
        """Return the record with the reason that is true now."""
        if not waits_for_person(record) or record.reason.startswith(f"{WAITS_TO_LAND}git refused"):
            return record  # what git alone knows is found out by trying
        if YOUR_WORD in record.reason:
            before = SETUP_WAITS if record.reason.startswith(SETUP_WAITS) else ""
            reason = self._untrusted and f"{before}{self._untrusted}"
        else:
            obstacle = self._obstacle(record)
            reason = obstacle and f"{WAITS_TO_LAND}{obstacle}"
        if not reason:
            self.over.append(record.stream)
        return replace(record, reason=reason or OVER)

    @cached_property
    def _untrusted(self) -> str:
        return untrusted_reason(self.context)

    def _obstacle(self, record: StreamRecord) -> str:
        """Return what stands in the way of landing now, '' for nothing that can be seen without trying."""
        context, git = self.context, self.context.git
        held = branch_held_by_operation(context.site, context.integration)
        holders = [w for w in list_worktrees(git) if w.branch == context.integration and not w.bare]
        old = git.commit_id(context.integration_ref)
        if held or len(holders) > 1 or old is None:
            return held or record.reason.removeprefix(WAITS_TO_LAND)
        train = git.commit_id(TRAIN)
        new = train if train and git.is_ancestor(record.tip, train) and git.is_ancestor(old, train) else record.tip
        start = git.maybe("merge-base", old, new) or old
        return obstacle(holders[0], git, start, new) if holders else ""
