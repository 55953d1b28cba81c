"""`loki-hooks install`: turn loki-hooks on here. With --dry-run the plan is only shown."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from loki_hooks.actions.consent import Asked, asked, give_trust
from loki_hooks.actions.context import Context
from loki_hooks.actions.install.install import carry_out, plan_install
from loki_hooks.actions.landing.upstream import keep_integration
from loki_hooks.cli.console import answer, hint, printable, say
from loki_hooks.domain.install.values import InstallWay, Write
from loki_hooks.domain.sessions.agents import is_unguarded
from loki_hooks.errors import BadInputError
from loki_hooks.system.config.load import FILE
from loki_hooks.system.site import Site, discover, require_own
from loki_hooks.system.store.asker import in_session


@click.command("install")
@click.option("--native", is_flag=True, help="Have git run the hooks itself.")
@click.option("--pre-commit", "pre_commit", is_flag=True, help="Have pre-commit or prek run the hooks.")
@click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
def install(native: bool, pre_commit: bool, dry_run: bool) -> None:
    """Turn loki-hooks on in this repository.

    Without an option: through pre-commit or prek where .pre-commit-config.yaml is, else as git's own hooks, beside
    whatever hooks are there. Safe to repeat; `uninstall` puts everything back. What the repository's configuration
    runs is shown and trusted.
    """
    if native and pre_commit:
        raise BadInputError("--native and --pre-commit exclude each other", "give one, or none")
    site = require_own(discover())
    plan = plan_install(site, InstallWay.NATIVE if native else InstallWay.PRE_COMMIT if pre_commit else None)
    say(f"found {plan.detected}; {_how(plan.way)}")
    person = not in_session(site)
    proposed = next((s.data for s in plan.steps if isinstance(s, Write) and Path(s.path).name == FILE), None)
    found = asked(site, proposed) if person else Asked((), ())
    if dry_run:
        for step in plan.steps:
            answer(str(step))
        for item in found.new:
            answer(printable(f"trust {item.kind} {item.name}: {item.command}", keep=""))
        if not plan.steps and not found.new:
            say("nothing to do")
        _tell(plan.notes)
        return
    carry_out(site, plan, say)
    keep_integration(Context(site), anew=person)
    trusted = _trust(site, found) if person else 0
    if not person:
        say("nothing was trusted: a session cannot do that in its user's name")
    if not plan.steps and not trusted:
        say("nothing to do")
    _tell(plan.notes)
    if plan.steps:
        answer(f"loki-hooks is on in {site.root}")
        hint('next: loki-hooks spawn NAME --task "..."')


def _trust(site: Site, found: Asked) -> int:
    """Show what is new, ask for agents that ask nobody, record the user's word for the rest; return how much is trusted."""
    terminal = sys.stdin.isatty() and sys.stderr.isatty()
    declined = []
    for item in found.new:
        shown = printable(f"{item.kind} {item.name}: {item.command}", keep="")
        if terminal and item.kind == "agent" and is_unguarded(item.command):
            say(f"this repository's {shown}")
            question = f"The agent {item.name} does everything without asking. Trust it?"
            if not click.confirm(question, default=False, err=True):
                declined.append(item)
                continue
        say(f"trusts {shown}")
    if declined:
        names = " and ".join(item.name for item in declined)
        say(f"{names} is not trusted: `loki-hooks trust` does it; another agent or command: [agents] in {FILE}")
    return len(give_trust(site, found.without(declined)).new)


def _how(way: InstallWay) -> str:
    return "git runs the hooks" if way is InstallWay.NATIVE else "the framework runs the hooks"


def _tell(notes: tuple[str, ...]) -> None:
    for note in notes:
        hint(note)
