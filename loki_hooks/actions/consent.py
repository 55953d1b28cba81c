"""`trust`: show what the repository's configuration would run, and record the user's word for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from loki_hooks.actions.context import Context
from loki_hooks.domain.asker import Deed, SessionAsks, refused
from loki_hooks.errors import LokiError, RefusedError
from loki_hooks.system.config import trust
from loki_hooks.system.config.load import FILE, load, parse
from loki_hooks.system.git.git import Git
from loki_hooks.system.site import Site
from loki_hooks.system.store import events
from loki_hooks.system.store.asker import who_asks

if TYPE_CHECKING:
    from collections.abc import Collection

    from loki_hooks.system.config.trust import TrustItem
    from loki_hooks.system.site import Site


@dataclass(frozen=True)
class Asked:
    """``items`` is all that would run, ``new`` what of it was not trusted before."""

    items: tuple[TrustItem, ...]
    new: tuple[TrustItem, ...]
    held: tuple[str, ...] = ()
    """The tables of the gate configuration that a stream changed, and that are not in force yet."""

    def without(self, items: Collection[TrustItem]) -> Asked:
        """Return it without what the user does not want."""
        kept, new = ([i for i in some if i not in items] for some in (self.items, self.new))
        return Asked(tuple(kept), tuple(new), self.held)


def asked(site: Site, proposed: bytes | None = None) -> Asked:
    """Return what there is to trust: what is in force, and what will be once the working copy is committed.

    ``proposed``: the configuration file that is about to be written.
    """
    effective = load(site, Git(site.root))
    working = effective.working
    if proposed is not None:
        working = replace(parse(proposed, FILE), session=working.session)
    both = (*trust.items_of(working, effective.in_force), *trust.items_of(working, working))
    if effective.landed is not None:
        both += trust.items_of(working, effective.landed)
    items = tuple({item.digest: item for item in reversed(both)}.values())[::-1]
    return Asked(items, trust.missing(site, items), effective.held)


def give_trust(site: Site, found: Asked | None = None) -> Asked:
    """Record the user's word for what was shown (default: all there is). Raises ``RefusedError`` inside a session."""
    require_person(site, Deed.TRUST)
    found = found or asked(site)
    if found.new or trust.by_environment(site):  # the word is given for later, too, when the variable is not there
        trust.grant(site, found.items)
    approve_gates(Context(site), anew=True)
    return found


def approve_gates(context: Context, *, anew: bool = False) -> None:
    """Record whose gate configuration is in force: the integration branch's, unless a stream changed it.

    ``anew``: a person approves what it is now.
    """
    site, config = context.site, context.config
    known = trust.approved(site)
    if config.held and not anew:
        if known is not None and not known.held:
            trust.approve(site, replace(known, held=True))
            events.record(site, "gates-held", detail=f"a stream changed {', '.join(config.held)}")
        return
    tip = context.git.commit_id(context.integration_ref)
    if tip is not None and (known is None or known.held or known.files != config.files):
        trust.approve(site, trust.Approved(tip, config.files))


def require_person(site: Site, deed: Deed, stream: str = "") -> None:
    """Raise ``RefusedError`` when a session asks for what it may not do (to ``stream``)."""
    asker = who_asks(site)
    if not isinstance(asker, SessionAsks) or not refused(asker, deed, stream):
        return
    if site.enabled:
        events.record(site, "refused-to-session", asker.stream, detail=deed.value, evidence={"about": stream})
    raise RefusedError(
        f"a session cannot {deed.value}", _HINTS.get(deed, "this is for people: do it in a terminal of your own")
    )


def untrusted_reason(context: Context, *, gates_only: bool = False) -> str:
    """Return '' or why nothing that the repository brings may be run: the user has not said so yet (README, "Consent")."""
    names = _untrusted(context, gates_only=gates_only)
    from loki_hooks.domain.streams.record import YOUR_WORD

    return f"{YOUR_WORD} (`loki-hooks trust`): {names}" if names else ""


def _untrusted(context: Context, *, gates_only: bool = False) -> str:
    """Return the names of what the user has not trusted yet, at most four of them."""
    from loki_hooks.system.config import trust

    items = trust.items_of(context.config.working, context.config.in_force)
    if gates_only:
        items = tuple(item for item in items if item.kind in {"gate", "setup"})
    missing = trust.missing(context.site, items)
    return ", ".join(f"{item.kind} {item.name}".strip() for item in missing[:4])


def require_trust(context: Context) -> None:
    """Raise ``LokiError`` unless the user has trusted what the repository brings."""
    names = _untrusted(context)
    if names:
        raise LokiError(
            f"this repository's commands are not trusted yet: {names}",
            "read them with `loki-hooks trust --show`, then say `loki-hooks trust`",
        )


_HINTS = {
    Deed.TRUST: "`loki-hooks trust` is for people",
    Deed.UNGATED: "--ungated is for people",
    Deed.STOP: "a session may stop its own stream only; what others do is for people to decide",
    Deed.FINISH: "a session may finish its own stream only; what becomes of others is for people to decide",
}
