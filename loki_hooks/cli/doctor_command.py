"""`loki-hooks doctor`: what is broken, how we know, and what to do."""

from __future__ import annotations

import click

from loki_hooks.actions.doctor.diagnose import diagnose
from loki_hooks.actions.reconcile.run import reconcile
from loki_hooks.cli.console import answer, answer_json, hint, printable, say
from loki_hooks.domain.install.diagnosis import Finding, anything_wrong
from loki_hooks.system.site import discover


@click.command("doctor")
@click.option(
    "--fix", is_flag=True, help="Repair what can be repaired without losing anything; each is in the event log."
)
@click.option("--json", "as_json", is_flag=True, help="Print [{check, ok, what, evidence, todo, fixable, fixed}].")
def doctor(fix: bool, as_json: bool) -> int:
    """Look for what is broken, and prove it. Exit 1 when something is wrong.

    That our hooks fire is proved in each worktree by having git run them. Locks are called dead only on proof that
    their owner is. With --fix only that is repaired in which nothing can be lost.
    """
    site = discover()
    found = diagnose(site, fix=fix)
    if site.enabled and any(finding.fixed and finding.check == "worktrees" for finding in found):
        reconcile(site, wait=5)  # the streams follow worktrees that git knows again
    if as_json:
        answer_json([finding.to_json() for finding in found])
    else:
        for finding in found:
            _show(finding, fix=fix)
    wrong = [finding for finding in found if finding.wrong]
    if wrong:
        say(f"{len(wrong)} thing{'s are' if len(wrong) > 1 else ' is'} wrong")
        if not fix and any(finding.repair for finding in wrong):
            hint("`loki-hooks doctor --fix` repairs those marked (--fix)")
    else:
        say("all is well")
    return 1 if anything_wrong(found) else 0


def _show(finding: Finding, *, fix: bool) -> None:
    mark = "fixed" if finding.fixed else "ok   " if finding.ok else "WRONG"
    answer(printable(f"{mark}  {finding.check}: {finding.what}", keep=""))
    if finding.evidence:
        answer(printable(f"       because: {finding.evidence}", keep=""))
    if finding.todo and not finding.fixed:
        fixable = " (--fix)" if finding.repair is not None and not fix else ""
        answer(printable(f"       to do:   {finding.todo}{fixable}", keep=""))
