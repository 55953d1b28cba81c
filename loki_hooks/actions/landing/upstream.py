"""The integration branch's upstream: fetched in bounded time, compared, pushed to where configured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.landing.advance import advance
from loki_hooks.domain.secrets import without_credentials
from loki_hooks.errors import reason_in
from loki_hooks.system.clock import now, seconds_since
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.json import dump_json, read_json
from loki_hooks.system.locks import busy_pass, try_hold_pass
from loki_hooks.system.processes.run import Completed
from loki_hooks.system.store import events
from loki_hooks.system.store.integration import Recorded, record, recorded

FETCH_TIMEOUT = 15.0
PUSH_TIMEOUT = 120.0
FETCH_EVERY = 20.0
AFTER_FAILURE = 60.0
SAID = 3
"""So many lines of what a server says are told on."""
PATIENCE = 5.0
"""Seconds that catching up waits for a pass that runs, which does the same."""


@dataclass(frozen=True)
class Upstream:
    """``remote`` '' means that the integration branch has none. ``ref`` is its remote-tracking ref."""

    remote: str = ""
    branch: str = ""
    ref: str = ""


def upstream_of(context: Context) -> Upstream:
    """Return the configured upstream of the integration branch, else the same name on a remote that is fetched."""
    git = context.git
    name = context.integration
    configured = git.maybe(
        "for-each-ref", "--format=%(upstream:remotename)%00%(upstream:remoteref)%00%(upstream)", context.integration_ref
    )
    if configured and configured.replace("\0", ""):
        remote, theirs, ref = configured.split("\0")
        if remote not in {"", "."} and ref:
            return Upstream(remote, theirs.removeprefix("refs/heads/"), ref)
    remotes = (git.maybe("remote") or "").split()
    for remote in sorted(remotes, key=lambda r: r != "origin"):
        if git.config(f"remote.{remote}.fetch") is not None:
            return Upstream(remote, name, f"refs/remotes/{remote}/{name}")
    return Upstream()


def push_remote(context: Context, branch: str) -> str:
    """Return the remote that a branch is pushed to, as `git push` has it; '' where git would say: where it comes from."""
    return context.git.config(f"branch.{branch}.pushRemote") or context.git.config("remote.pushDefault") or ""


def push_target(context: Context) -> Upstream:
    """Return where the integration branch is pushed to: its upstream, or, where somebody works with a fork, that."""
    upstream, name = upstream_of(context), context.integration
    remote = push_remote(context, name)
    if remote in {"", upstream.remote}:
        return upstream
    return Upstream(remote, name, f"refs/remotes/{remote}/{name}")


def fetch(context: Context, *, every: float = FETCH_EVERY) -> str:
    """Fetch the upstream unless that was done less than ``every`` seconds ago. Return '' or why it did not work.

    Being offline is no failure of anything else.
    """
    upstream = upstream_of(context)
    if not upstream.remote:
        return ""
    stamp = context.site.folder("state") / "fetched"
    when, _, how = (read_plain(stamp) or b"").decode("ascii", "replace").strip().partition(" ")
    last = seconds_since(when)
    if last is not None and last < (AFTER_FAILURE if how else every):
        return ""
    write_atomic(stamp, now())
    done = context.git.run(
        "fetch",
        "--quiet",
        "--no-tags",
        "--no-recurse-submodules",
        "--no-write-fetch-head",
        upstream.remote,
        f"+refs/heads/{upstream.branch}:{upstream.ref}",
        timeout=FETCH_TIMEOUT,
    )
    if done.returncode == 0:
        return ""
    if "couldn't find remote ref" in done.error_text:
        return ""  # nothing was pushed there yet
    why = f"no answer in {FETCH_TIMEOUT:.0f} s" if done.timed_out else reason_in(done.error_text)
    write_atomic(stamp, f"{now()} failed")
    events.record(context.site, "fetch-failed", detail=why)
    return f"cannot fetch {upstream.remote}: {why}"


@dataclass(frozen=True)
class UpstreamState:
    """``commit`` is the upstream's, '' for none; whether the integration branch lacks any of it, has both lack and more.

    ``ahead``: whether it has more than where it is pushed to.
    """

    commit: str = ""
    behind: bool = False
    ahead: bool = False
    diverged: bool = False


def compared(context: Context, tip: str) -> UpstreamState:
    """Return how the integration branch, which is at ``tip``, stands to its upstream as that was fetched last."""
    upstream = upstream_of(context)
    theirs = context.git.commit_id(upstream.ref) if upstream.ref else None
    if theirs is None:
        return UpstreamState(ahead=bool(upstream.remote and tip))
    if not tip or theirs == tip:
        return UpstreamState(theirs, ahead=_to_push(context, upstream, tip, ahead=False))
    counts = context.git.maybe("rev-list", "--left-right", "--count", f"{tip}...{theirs}")
    ahead, behind = (int(part) > 0 for part in (counts or "0 0").split())
    return UpstreamState(theirs, behind, _to_push(context, upstream, tip, ahead), diverged=ahead and behind)


def _to_push(context: Context, upstream: Upstream, tip: str, ahead: bool) -> bool:
    """Whether where the integration branch is pushed to has less than it; ``ahead``: whether its upstream has."""
    target = push_target(context)
    if target == upstream or not tip:
        return ahead
    there = context.git.commit_id(target.ref)
    return there is None or not context.git.is_ancestor(tip, there)


def keep_integration(context: Context, *, anew: bool = False) -> None:
    """Record the integration branch and its upstream, where that is not recorded yet.

    ``anew``: a person says that they are what git says now.
    """
    known, upstream = recorded(context.site), upstream_of(context)
    if known is not None and not anew and (known.upstream or not upstream.remote):
        return
    config = context.config
    branch = config.elsewhere if anew and config.elsewhere else config.integration
    if known is not None and not anew:
        branch = known.branch
    record(context.site, Recorded(branch, _words(upstream), _url(context, upstream)))


def _words(upstream: Upstream) -> str:
    return f"{upstream.remote}/{upstream.branch}" if upstream.remote else ""


def _url(context: Context, upstream: Upstream) -> str:
    from hashlib import sha256

    url = context.git.maybe("remote", "get-url", upstream.remote) if upstream.remote else ""
    return sha256(without_credentials(url or "").encode("utf-8", "replace")).hexdigest()


def unproved(context: Context, commit: str) -> str:
    """Return '' where the remote itself says now that its branch is at ``commit``, else why that is not proved.

    Anybody who may write in the repository may write a remote-tracking ref, and set what the branch follows.
    """
    upstream, known = upstream_of(context), recorded(context.site)
    if known is not None and known.upstream and context.integration == known.branch:
        words = _words(upstream)
        another = f"{words} now" if words != known.upstream else f"{words} at another URL now"
        if (known.upstream, known.url) != (words, _url(context, upstream)):
            return (
                f"{context.integration} follows {another}, not as it was recorded: `loki-hooks install` records it anew"
            )
    ref = f"refs/heads/{upstream.branch}"
    done = context.git.run("ls-remote", "--quiet", upstream.remote, ref, timeout=FETCH_TIMEOUT)
    if done.returncode != 0:
        why = f"no answer in {FETCH_TIMEOUT:.0f} s" if done.timed_out else reason_in(done.error_text)
        return f"cannot ask {upstream.remote}: {why}"
    if f"{commit}\t{ref}" in done.text.splitlines():
        return ""
    fetch(context, every=0.0)  # what is remembered of it is not what it is
    return f"{upstream.remote} does not have {commit[:12]} as its {upstream.branch}"


def catch_up(context: Context, say: Callable[[str], None]) -> None:
    """Fetch, and bring a local integration branch that is merely behind to its upstream, by the rule that landing has."""
    problem = fetch(context, every=2.0)
    if problem:
        say(problem)
    upstream = upstream_of(context)
    theirs = context.git.commit_id(upstream.ref) if upstream.ref else None
    ours = context.git.commit_id(context.integration_ref)
    if theirs and ours and theirs != ours and context.git.is_ancestor(ours, theirs):
        lock = try_hold_pass(context.site, PATIENCE)
        if lock is None:
            why = busy_pass(context.site, PATIENCE).message
        else:
            with lock:
                why = unproved(context, theirs)
                why = why or advance(context, lock, theirs, ours, "fast-forward to upstream").reason
        if why:
            say(f"{context.integration} is behind {upstream.remote} and stays there: {why}")


def push(context: Context, commit: str) -> str:
    """Push the integration branch at ``commit``, which passed, with the user's own hooks (ours off).

    Return '' or why it did not work.
    """
    target = push_target(context)
    if not target.remote:
        return ""
    from loki_hooks.system.git.git import Git

    with_hooks = Git(context.site.root, hooks=True)
    branch = f"refs/heads/{target.branch}"
    done = with_hooks.run("push", "--porcelain", target.remote, f"{commit}:{branch}", timeout=PUSH_TIMEOUT)
    if done.returncode == 0:
        _path(context).unlink(missing_ok=True)
        events.record(context.site, "pushed", commit=commit, detail=f"{context.integration} to {target.remote}")
        return ""
    why = refusal(done, PUSH_TIMEOUT)
    not_pushed(context, "push-failed", commit, why)
    if not done.timed_out:
        fetch(context, every=0.0)  # somebody else may have pushed
    return f"cannot push {context.integration} to {target.remote}: {why}"


def refusal(done: Completed, timeout: float) -> str:
    """Return why a push (`--porcelain`) did not work: what the server said, else git's word for the ref, else what git says."""
    if done.timed_out:
        return f"no answer in {timeout:.0f} s"
    lines = [
        line.removeprefix("remote:").strip() for line in done.error_text.splitlines() if line.startswith("remote:")
    ]
    said = [line for line in lines if line]
    refused = [line.split("\t")[-1] for line in done.text.splitlines() if line.startswith("!")]
    return "; ".join([*said[:SAID], *refused[:1]]) or reason_in(done.error_text)


def not_pushed(context: Context, event: str, commit: str, why: str) -> None:
    """Remember why the integration branch is not pushed at ``commit``; the event is recorded when that is news."""
    known = {"commit": commit, "reason": why}
    if read_json(_path(context)) != known:
        context.site.folder("state")
        write_atomic(_path(context), dump_json(known))
        events.record(context.site, event, commit=commit, detail=why)


def why_not_pushed(context: Context) -> str:
    """Return why the integration branch, as it is now, was not pushed, as a sentence; '' where it was or need not be."""
    known, target = read_json(_path(context)), push_target(context)
    tip = context.git.commit_id(context.integration_ref)
    if not isinstance(known, dict) or not target.remote or tip is None or known.get("commit") != tip:
        return ""
    if not context.config.working.merge.push or context.git.commit_id(target.ref) == tip:
        return ""
    return f"{context.integration} is not pushed to {target.remote}: {known.get('reason')}"


def _path(context: Context) -> Path:
    return context.site.loki / "state" / "not-pushed.json"
