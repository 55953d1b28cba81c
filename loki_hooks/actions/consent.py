"""`trust`: show what the repository's configuration would run, and record the user's word for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loki_hooks.actions.asker import require_person
from loki_hooks.domain.asker import Deed
from loki_hooks.system.config import trust
from loki_hooks.system.config.load import load
from loki_hooks.system.git.git import Git

if TYPE_CHECKING:
    from loki_hooks.system.config.trust import TrustItem
    from loki_hooks.system.site import Site


@dataclass(frozen=True)
class Asked:
    """``items`` is all that would run, ``new`` what of it was not trusted before."""

    items: tuple[TrustItem, ...]
    new: tuple[TrustItem, ...]


def asked(site: Site) -> Asked:
    """Return what there is to trust: what is in force, and what will be once the working copy is committed."""
    effective = load(site, Git(site.root))
    working = effective.working
    both = (*trust.items_of(working, effective.in_force), *trust.items_of(working, working))
    items = tuple({item.digest: item for item in reversed(both)}.values())[::-1]
    return Asked(items, trust.missing(site, items))


def give_trust(site: Site) -> Asked:
    """Record the user's word for all of it. Raises ``RefusedError`` inside a session."""
    require_person(site, Deed.TRUST)
    found = asked(site)
    if found.new or trust.by_environment(site):  # the word is given for later, too, when the variable is not there
        trust.grant(site, found.items)
    return found
