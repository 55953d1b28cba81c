"""Which stream a branch is, by the templates of the configuration. Light: `git push` waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loki_hooks.domain.names import BranchIdentity, identify_branch

if TYPE_CHECKING:
    from loki_hooks.actions.context import Context


def identify(context: Context, branch: str) -> BranchIdentity | None:
    """Return what ``branch`` is, or None when it fits no template, or is the integration branch."""
    if branch == context.integration:
        return None
    return identify_branch(branch, context.config.working.branches, context.fixed_values)
