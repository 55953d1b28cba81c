"""A push is about to happen: to a gated branch goes only what passed.

git tells of every ref, on stdin. pre-commit and prek tell of the first one only, in variables; so where
our native script stands beside theirs it has answered for all of them already, and they ask in vain.
"""

from __future__ import annotations

import os
import sys

from loki_hooks.hooks.caller import NATIVE, framework
from loki_hooks.hooks.place import find_place

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself is not light
    from loki_hooks.domain.gates.push import RefUpdate
    from loki_hooks.system.site import Site


def run(words: list[str]) -> int:
    env = dict(os.environ)
    if len(words) >= 2 or framework(env) == NATIVE:  # git passes the remote's name and URL; the frameworks pass nothing
        remote = words[0] if words else ""
        text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
        if framework(env) == NATIVE and _known_to_pass(text):
            return 0
        return _guard(text, remote)
    return _guard_framework(env)


def _known_to_pass(text: str) -> bool:
    """Whether all that is pushed is known to have passed, found out in a hurry; where in doubt it is not."""
    from loki_hooks.system.store.known import lets_through

    try:
        place = find_place()
        return lets_through(place.common, os.path.dirname(place.loki), text)
    except (OSError, ValueError):
        return False


def _guard(text: str, remote: str) -> int:
    from loki_hooks.actions.gates.guard import guard_push
    from loki_hooks.domain.gates.push import parse_push
    from loki_hooks.hooks.gate import enter, say

    site, by = enter()
    return guard_push(site, parse_push(text), remote, by, say=say)


def _guard_framework(env: dict[str, str]) -> int:
    from loki_hooks.actions.gates.guard import guard_push
    from loki_hooks.domain.gates.push import framework_push
    from loki_hooks.hooks.gate import enter, say

    site, by = enter()
    if _answered_natively(site):
        return 0
    updates = tuple(_resolved(site, update) for update in framework_push(env))
    return guard_push(site, updates, env.get("PRE_COMMIT_REMOTE_NAME", ""), by, say=say)


def _answered_natively(site: Site) -> bool:
    """Whether our own script runs for every push beside the framework's, which runs ``.legacy`` scripts first."""
    from loki_hooks.system.hooks.files import hook_in_config, hooks_folder, is_ours

    return is_ours(hooks_folder(site) / "pre-push.legacy") or hook_in_config(site, "pre-push")


def _resolved(site: Site, update: RefUpdate) -> RefUpdate:
    """Return ``update`` with the commit that its local ref names, where the framework did not say it."""
    from dataclasses import replace

    from loki_hooks.errors import RefusedError
    from loki_hooks.system.git.git import Git

    if update.local_oid:
        return update
    commit = Git(site.here).commit_id(update.local_ref)
    if commit is None:
        raise RefusedError(f"cannot tell which commit {update.local_ref!r} is", "push it by the name of its branch")
    return replace(update, local_oid=commit)
