"""Where a stream begins: the commit that `--base` names, or the integration branch's tip. Unclear is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from loki_hooks.domain.names import shown
from loki_hooks.errors import BadInputError, RefusedError

if TYPE_CHECKING:
    from loki_hooks.actions.context import Context

_AMBIGUOUS = re.compile(r"^(?:warning|error|fatal): .* is ambiguous", re.MULTILINE)


def base_commit(context: Context, revision: str) -> str:
    """Return the commit id of ``revision`` ('': the integration branch). Raises ``LokiError`` when unclear."""
    git = context.git
    if not revision:
        tip = git.commit_id(context.integration_ref)
        if tip is None:
            raise RefusedError(
                f"the integration branch {context.integration} has no commit yet",
                "make a first commit, or set integration_branch in loki-hooks.toml",
            )
        return tip
    if "\0" in revision or "\n" in revision:
        raise BadInputError(f"--base {shown(revision)} is no commit here", "name a branch, a tag or a commit id")
    done = git.run("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    if _AMBIGUOUS.search(done.error_text):
        raise BadInputError(
            f"--base {shown(revision)} is ambiguous",
            "say which: refs/heads/NAME, refs/tags/NAME, or a longer commit id",
        )
    if done.returncode == 0:
        return done.text.strip().splitlines()[-1]
    unborn = git.maybe("symbolic-ref", "--quiet", "--short", "HEAD") if git.commit_id("HEAD") is None else None
    if unborn is not None and revision in {"HEAD", "@", unborn, f"refs/heads/{unborn}"}:
        raise BadInputError(f"--base {shown(revision)} has no commit yet", "make a first commit")
    raise BadInputError(
        f"--base {shown(revision)} is no commit here",
        "name a branch, a tag or a commit id; `git fetch` first if it is on a remote",
    )
