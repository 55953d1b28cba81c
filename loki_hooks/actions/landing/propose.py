"""Propose a stream as a pull request: push its branch with the user's hooks, then have `gh` open it where it can.

Pushed is exactly what was looked at. A result of the stream merged into the integration branch, which is what the pull
request will bring, lets it through; where there is none, the gate that guards a push by hand guards this one.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from loki_hooks.actions.consent import require_person
from loki_hooks.actions.context import Context
from loki_hooks.actions.gates.guard import guard_push
from loki_hooks.actions.landing.merge import merge
from loki_hooks.actions.landing.taken_out import require_nothing_taken_out
from loki_hooks.actions.landing.upstream import PUSH_TIMEOUT, push_remote, refusal, upstream_of
from loki_hooks.actions.streams.outlook import Outlook, look_ahead, require_committed, require_finishable, require_work
from loki_hooks.domain.asker import Deed
from loki_hooks.domain.gates.push import RefUpdate
from loki_hooks.domain.gates.results import Standing, standing
from loki_hooks.domain.secrets import without_credentials
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import Status
from loki_hooks.errors import LokiError, RefusedError, reason_in
from loki_hooks.system.git.git import NULL_OID, Git
from loki_hooks.system.git.merges import merge_trees
from loki_hooks.system.processes.run import run, scrubbed
from loki_hooks.system.store import events, gate_results

Say = Callable[[str], None]
_HOST = re.compile(r"(?:[a-z+]+://)?(?:[^/@]+@)?(\[[^]]+\]|[^/:]+)", re.IGNORECASE)


@dataclass(frozen=True)
class PullRequest:
    """``url`` of the pull request, '' when it is still to be opened: then ``todo`` says how.

    ``again``: to propose it again may do that, once what hindered `gh` is mended.
    """

    remote: str
    url: str = ""
    todo: str = ""
    again: bool = False


def propose(context: Context, record: StreamRecord, *, say: Say) -> PullRequest:
    """Push the branch and open a pull request. Raises ``LokiError`` when it cannot be pushed; nothing changed then."""
    require_person(context.site, Deed.FINISH, record.stream)
    require_finishable(record)
    outlook = look_ahead(context, record)
    require_committed(record, outlook)
    require_work(context, record, outlook)
    proposal = _send(context, record, outlook, say)
    _publish(context, record, outlook.tip, proposal)
    return proposal


def propose_tested(context: Context, record: StreamRecord) -> PullRequest:
    """Propose a stream that passed, as `merge.how` says. It is proposed only where nothing is left to be tried again.

    Raises ``LokiError`` when it cannot be pushed, or was not tested as it is now; nothing changed then.
    """
    outlook = look_ahead(context, record)
    if outlook.tip != record.tip or not _passed_merged(context, outlook.tip):
        raise LokiError(f"{record.name} is not what was tested any more", "the next pass looks at it again")
    proposal = _send(context, record, outlook, lambda _: None)
    if not proposal.again:
        _publish(context, record, outlook.tip, proposal)
    return proposal


def _send(context: Context, record: StreamRecord, outlook: Outlook, say: Say) -> PullRequest:
    require_nothing_taken_out(context, record, outlook.tip)
    upstream = upstream_of(context).remote
    remote = push_remote(context, record.branch) or upstream
    if not remote:
        raise RefusedError("there is no remote to propose it to", "`git remote add origin URL`, or use --merge")
    gated = not _passed_merged(context, outlook.tip)
    push_branch(context, record, outlook.tip, remote, say=say, gated=gated)
    return _open(
        context, record, remote, upstream or remote, title_of(context, record), body_text(context, record, outlook)
    )


def _publish(context: Context, record: StreamRecord, tip: str, proposal: PullRequest) -> None:
    context.store.update(lambda state: _proposed(state, record.stream, tip, proposal))
    events.record(
        context.site,
        "proposed",
        record.stream,
        commit=tip,
        detail=proposal.url or proposal.todo,
        evidence={"remote": proposal.remote, "branch": record.branch},
    )


def _passed_merged(context: Context, tip: str) -> bool:
    """Whether every gate has let the stream through as it is merged into the integration branch now."""
    base = context.git.commit_id(context.integration_ref)
    tree = merge(context, base, tip).tree if base else ""
    config = context.config.in_force
    seen = gate_results.seen(context.git, tree, config.gates.values(), config) if tree else ()
    return bool(seen) and standing(seen) is Standing.PASSED


def push_branch(context: Context, record: StreamRecord, tip: str, remote: str, *, say: Say, gated: bool = True) -> None:
    """Push the branch at ``tip`` and make it its upstream, past the gate unless that has let it through already.

    Raises ``LokiError`` when the gate or the remote refuses.
    """
    ref = f"refs/heads/{record.branch}"
    known = context.git.commit_id(f"refs/remotes/{remote}/{record.branch}") or NULL_OID
    updates = [RefUpdate(ref, tip, ref, known)]
    if gated and guard_push(context.site, updates, remote, "native", say=say):
        raise RefusedError(f"the gate refuses {record.branch}: it was not pushed", f"`loki-hooks test {record.branch}`")
    git = Git(context.site.root, hooks=True)
    done = git.run("push", "--porcelain", remote, f"{tip}:{ref}", timeout=PUSH_TIMEOUT)
    if done.returncode != 0:
        raise LokiError(
            f"cannot push {record.branch} to {remote}: {refusal(done, PUSH_TIMEOUT)}",
            "where it was rebased since it was pushed: `git push --force-with-lease`",
        )
    git.run("branch", "--set-upstream-to", f"{remote}/{record.branch}", record.branch)


def _proposed(state: State, stream: str, tip: str, proposal: PullRequest) -> State:
    record = state.streams.get(stream)
    if record is None:
        return state
    reason = proposal.url or "pushed; its pull request is still to be opened"
    return state.with_stream(record.moved(Status.PROPOSED, tip=tip, reason=reason, not_before="", turned_away=0))


def title_of(context: Context, record: StreamRecord) -> str:
    """Return the task's title, else the subject of an only commit, else the branch in words."""
    subjects = _subjects(context, record)
    if record.task.title:
        return record.task.title
    return subjects[0] if len(subjects) == 1 else record.branch.rpartition("/")[2].replace("-", " ").capitalize()


def body_text(context: Context, record: StreamRecord, outlook: Outlook) -> str:
    """Return the pull request's text: the task, the commits, what the gates said of it merged."""
    parts = [record.task.text.strip()] if record.task.text.strip() else []
    subjects = _subjects(context, record)
    parts.append("Commits:\n\n" + "\n".join(f"- {subject}" for subject in subjects[:50]))
    base = context.git.commit_id(context.integration_ref)
    tree = merge_trees(context.git, base, outlook.tip).tree if base else ""
    config = context.config.in_force
    for which, of in ((f"merged into {context.integration}", tree), ("as it is", context.git.tree_id(outlook.tip))):
        seen = gate_results.seen(context.git, of, config.gates.values(), config) if of else ()
        known = [f"- {entry.gate.name}: {entry.result.outcome}" for entry in seen if entry.result is not None]
        if known:
            parts.append(f"Gates, {which}:\n\n" + "\n".join(known))
            break
    return "\n\n".join(parts) + "\n"


def _subjects(context: Context, record: StreamRecord) -> list[str]:
    range_ = f"{context.integration_ref}..refs/heads/{record.branch}"
    return context.git.out("log", "--reverse", "--no-merges", "--max-count=100", "--format=%s", range_).splitlines()


def _open(context: Context, record: StreamRecord, remote: str, into: str, title: str, body: str) -> PullRequest:
    """Open the pull request of a branch that was pushed to ``remote``, a fork of ``into`` where that is another one."""
    url = context.git.maybe("remote", "get-url", into) or ""
    fork = context.git.maybe("remote", "get-url", remote) or "" if remote != into else ""
    head = f"{_owner(fork)}:{record.branch}" if _owner(fork) else record.branch
    by_hand = f"open a pull request from {head} into {context.integration} on {into}"
    if not is_github(url):
        return PullRequest(remote, todo=f"{by_hand} ({without_credentials(url) or 'no URL'} is not GitHub)")
    if shutil.which("gh") is None:
        return PullRequest(remote, todo=f"{by_hand}, or install gh and repeat this", again=True)
    where = ["--repo", url] if fork else []
    env = scrubbed(GH_PROMPT_DISABLED="1", NO_COLOR="1")
    made = run(
        [
            "gh",
            "pr",
            "create",
            "--base",
            context.integration,
            *where,
            "--head",
            head,
            "--title",
            title,
            "--body-file",
            "-",
        ],
        cwd=context.site.root,
        env=env,
        stdin=body.encode(),
        timeout=PUSH_TIMEOUT,
    )
    if made.returncode != 0:
        there = run(
            # An earlier one of the branch, closed or merged, is not this proposal.
            [
                "gh",
                "pr",
                "view",
                head,
                *where,
                "--json",
                "url,state",
                "--jq",
                'select(.state == "OPEN") | .url',
            ],
            cwd=context.site.root,
            env=env,
            timeout=PUSH_TIMEOUT,
        )
        if there.returncode == 0 and there.text.strip():
            return PullRequest(remote, url=there.text.strip())
        return PullRequest(remote, todo=f"{by_hand} (gh could not: {reason_in(made.error_text)})", again=True)
    links = [word for word in made.text.split() if word.startswith("https://")]
    return PullRequest(remote, url=links[-1] if links else made.text.strip())


def _owner(url: str) -> str:
    """Return whose repository a remote's URL names, '' where it names none."""
    found = re.search(r"[:/]([^/:]+)/[^/]+?/?$", url)
    return found[1] if found and is_github(url) else ""


def is_github(url: str) -> bool:
    """Return whether a remote's URL is of GitHub (or of the host that GH_HOST names)."""
    found = _HOST.match(url)
    host = found[1].lower() if found else ""
    chosen = os.environ.get("GH_HOST", "").lower()
    return host in {"github.com", "ssh.github.com"} or host.endswith(".ghe.com") or (bool(chosen) and host == chosen)
