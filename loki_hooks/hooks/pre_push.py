"""A push is about to happen: to a gated branch goes only what passed.

git tells of every ref, on stdin. pre-commit and prek tell of the first one only, in variables; so where
our native script stands beside theirs it has answered for all of them already, and they ask in vain.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from loki_hooks.domain.push import RefUpdate, framework_push, parse_push
from loki_hooks.errors import RefusedError
from loki_hooks.hooks.caller import NATIVE, framework
from loki_hooks.hooks.gate import enter, say

if TYPE_CHECKING:
    from loki_hooks.system.site import Site


def run(words: list[str]) -> int:
    from loki_hooks.actions.guard import guard_push

    env = dict(os.environ)
    if len(words) >= 2 or framework(env) == NATIVE:  # git passes the remote's name and URL; the frameworks pass nothing
        remote = words[0] if words else ""
        text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
        site, by = enter()
        return guard_push(site, parse_push(text), remote, by, say=say)
    site, by = enter()
    if _answered_natively(site):
        return 0
    updates = tuple(_resolved(site, update) for update in framework_push(env))
    return guard_push(site, updates, env.get("PRE_COMMIT_REMOTE_NAME", ""), by, say=say)


def _answered_natively(site: Site) -> bool:
    """Whether our own script runs for every push beside the framework's, which runs ``.legacy`` scripts first."""
    from loki_hooks.system.hook_files import hook_in_config, hooks_folder, is_ours

    return is_ours(hooks_folder(site) / "pre-push.legacy") or hook_in_config(site, "pre-push")


def _resolved(site: Site, update: RefUpdate) -> RefUpdate:
    """Return ``update`` with the commit that its local ref names, where the framework did not say it."""
    from loki_hooks.system.git import Git

    if update.local_oid:
        return update
    commit = Git(site.here).commit_id(update.local_ref)
    if commit is None:
        raise RefusedError(f"cannot tell which commit {update.local_ref!r} is", "push it by the name of its branch")
    return replace(update, local_oid=commit)
