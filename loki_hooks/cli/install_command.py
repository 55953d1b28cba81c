"""`loki-hooks install`: turn loki-hooks on here. With --dry-run the plan is only shown."""

from __future__ import annotations

import click

from loki_hooks.actions.consent import asked, give_trust
from loki_hooks.actions.context import Context
from loki_hooks.actions.install.install import carry_out, plan_install
from loki_hooks.actions.landing.upstream import keep_integration
from loki_hooks.cli.console import answer, hint, printable, say
from loki_hooks.domain.install.values import InstallWay
from loki_hooks.errors import BadInputError
from loki_hooks.system.site import discover, require_own
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
    if dry_run:
        for step in plan.steps:
            answer(str(step))
        for item in asked(site).new:
            answer(printable(f"trust {item.kind} {item.name}: {item.command}", keep=""))
        if not plan.steps:
            say("nothing to do")
        _tell(plan.notes)
        return
    carry_out(site, plan, say)
    trusted = 0
    if in_session(site):
        keep_integration(Context(site))
        say("nothing was trusted: a session cannot do that in its user's name")
    else:
        keep_integration(Context(site), anew=True)
        given = give_trust(site).new
        trusted = len(given)
        for item in given:
            say(printable(f"trusts {item.kind} {item.name}: {item.command}", keep=""))
    if not plan.steps and not trusted:
        say("nothing to do")
    _tell(plan.notes)
    if plan.steps:
        answer(f"loki-hooks is on in {site.root}")
        hint('next: loki-hooks spawn NAME --task "..."')


def _how(way: InstallWay) -> str:
    return "git runs the hooks" if way is InstallWay.NATIVE else "the framework runs the hooks"


def _tell(notes: tuple[str, ...]) -> None:
    for note in notes:
        hint(note)
