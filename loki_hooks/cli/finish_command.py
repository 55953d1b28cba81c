"""`loki-hooks finish`: end a stream: merge it, propose it, keep its branch, or give it up."""

from __future__ import annotations

import shlex
import sys

import click

from loki_hooks.actions.context import Context
from loki_hooks.actions.gates.runners import under_way
from loki_hooks.actions.landing.propose import propose, push_branch
from loki_hooks.actions.landing.upstream import push_remote, upstream_of
from loki_hooks.actions.reconcile.run import reconcile
from loki_hooks.actions.requests import finish as finishing
from loki_hooks.actions.sessions.leftovers import commit_leftovers
from loki_hooks.actions.streams.outlook import look_ahead, require_finishable, uncommitted_in
from loki_hooks.cli.console import answer, hint, say
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.errors import BadInputError, LokiError
from loki_hooks.system.site import require_enabled

WAYS = ("merge", "pr", "keep", "abandon")


@click.command("finish")
@click.argument("name")
@click.option(
    "--merge",
    "way",
    flag_value="merge",
    help="Land it: through the gate and the merge train, the way that merge.how says.",
)
@click.option("--pr", "way", flag_value="pr", help="Push its branch and open a pull request.")
@click.option("--keep", "way", flag_value="keep", help="Keep its branch (pushed to a remote); its worktree goes.")
@click.option("--abandon", "way", flag_value="abandon", help="Bring worktree and branch to the trash.")
@click.option("--ungated", is_flag=True, help="With --merge: land it although no gate passed it. For people only.")
def finish(name: str, way: str | None, ungated: bool) -> None:
    """End the stream NAME. Uncommitted work is never discarded.

    Without one of the options it asks, where there is a terminal. A session may end its own stream only.
    """
    if ungated and way != "merge":
        raise BadInputError("--ungated goes with --merge", "see `loki-hooks finish --help`")
    context = Context(require_enabled())
    record = context.require_stream(name)
    terminal = sys.stdin.isatty() and sys.stderr.isatty()
    if way is None and not terminal:
        raise BadInputError("say how to end it: --merge, --pr, --keep or --abandon", "see `loki-hooks finish --help`")
    require_finishable(record, giving_up=way == "abandon")
    outlook = look_ahead(context, record)
    if outlook.tip:
        say(outlook.sentence(record.name, context.integration))
    if way is None:
        way = click.prompt("How shall it end?", type=click.Choice(WAYS), err=True)
    if way != "abandon" and terminal and outlook.uncommitted:
        _offer_commit(context, record)
    if way == "merge":
        _merge(context, record, ungated)
        return
    {"pr": _propose, "keep": _keep, "abandon": _abandon}[way](context, record)
    if under_way(context):  # a test of the train that it was in may have become useless
        reconcile(context.site, wait=5)


def _offer_commit(context: Context, record: StreamRecord) -> None:
    paths = uncommitted_in(context, record)
    say(f"not committed yet: {', '.join(paths[:10])}{' …' if len(paths) > 10 else ''}")
    if click.confirm("Commit it now?", default=True, err=True):
        left, why = commit_leftovers(context, record, wanted=True)
        if left:
            say(f"left uncommitted: {', '.join(left[:10])} ({why})")


def _merge(context: Context, record: StreamRecord, ungated: bool) -> None:
    if ungated:
        commit = finishing.merge_ungated(context, record, say=say)
        say(f"{record.name} has landed on {context.integration} as {commit[:12]}, without a gate")
        return
    try:
        result = finishing.merge(context, record, say=say)
    except KeyboardInterrupt:
        if finishing.is_wished(context, record):
            name = shlex.quote(record.name)
            say(f"{record.name} is still to be merged, and lands by itself once it has passed")
            hint(f"`loki-hooks stop {name}` takes that back; `loki-hooks status` shows how it goes")
        raise
    if result.landed:
        say(f"{record.name} has landed on {context.integration}")
        return
    if result.proposed:
        say(f"{record.name} is proposed, as merge.how says: {result.reason}")
        return
    say(f"{record.name} has not landed: {result.reason}")
    if result.waits:
        hint("it lands by itself as soon as nothing stands in its way; `loki-hooks run` tries again")
    else:
        hint(f"mend it in {record.path}, commit, and finish it again" if record.path else "see `loki-hooks status`")
    sys.exit(1)


def _propose(context: Context, record: StreamRecord) -> None:
    proposal = propose(context, record, say=say)
    say(f"{record.branch} is pushed to {proposal.remote}")
    if proposal.url:
        answer(proposal.url)
    else:
        hint(proposal.todo)


def _keep(context: Context, record: StreamRecord) -> None:
    finishing.keep(context, record)
    say(f"the worktree is gone, the branch {record.branch} stays; `loki-hooks restore {record.name}` makes one again")
    remote = push_remote(context, record.branch) or upstream_of(context).remote
    tip = context.git.commit_id(f"refs/heads/{record.branch}")
    if not remote or tip is None:
        return
    try:
        push_branch(context, record, tip, remote, say=say)
    except LokiError as error:  # it is kept here in any case
        say(f"not pushed: {error.message}")
    else:
        say(f"{record.branch} is pushed to {remote}")


def _abandon(context: Context, record: StreamRecord) -> None:
    done = finishing.abandon(context, record)
    say(f"{record.name} is in the trash ({done.trash}); `loki-hooks restore {record.name}` brings it back")
    if done.work:
        say(f"its uncommitted work is the commit {done.work[:12]}")
    if done.folder:
        say(f"secrets and ignored files are in {done.folder}")
