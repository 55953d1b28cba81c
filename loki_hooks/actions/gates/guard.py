"""The gate at git's door: pre-push and pre-merge-commit. Looks results up; runs what is missing where there is time.

Pushed trees are tested in a gate worktree, never in the user's. What may not run, could not run, or failed is
refused, with the reason and the command that makes the result.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from loki_hooks.actions.context import Context
from loki_hooks.actions.streams.identity import identify
from loki_hooks.domain.config import Gate
from loki_hooks.domain.gates.push import RefUpdate
from loki_hooks.domain.gates.results import GateResult, Outcome, lets_through
from loki_hooks.errors import RefusedError
from loki_hooks.system.git.git import Git
from loki_hooks.system.site import Site
from loki_hooks.system.store import gate_results, known

Say = Callable[[str], None]


@dataclass(frozen=True)
class PushedTree:
    """A tree that some gates guard, and which ref asks for it."""

    ref: str
    commit: str
    tree: str
    gates: tuple[Gate, ...]


def guard_push(site: Site, updates: Iterable[RefUpdate], remote: str, framework: str, *, say: Say) -> int:
    """Return 0 when every pushed ref may go, 1 when one is refused (nothing is pushed then). Raises ``LokiError``."""
    del remote
    context = Context(site)
    for warning in context.config.warnings:
        say(f"loki-hooks: {warning}")
    wanted = []
    for update in updates:
        branch = update.branch
        if update.deletes or not branch:
            continue  # deletions, tags and other refs are never gated
        gates = _gates_for(context, branch)
        if gates:
            what = update.local_oid or update.local_ref
            seen = context.git.out("log", "-1", "--no-show-signature", "--format=%H %T", "--end-of-options", what, "--")
            commit, tree = seen.split()
            wanted.append(PushedTree(branch, commit, tree, gates))
    refused = _judge(context, wanted, framework, say, budget=context.config.in_force.push.budget)
    if not refused and wanted and not context.config.held:
        _remember(context)
    return refused


def _remember(context: Context) -> None:
    """Have the next push know what is in force, without all this."""
    site, config = context.site, context.config.in_force
    gates = [gate_results.hash_of(gate, config) for gate in config.gates.values()]
    with suppress(OSError, ValueError):  # it only saves time
        known.remember(str(site.common), str(site.root), context.integration, gates)


def guard_merge(site: Site, framework: str, *, say: Say) -> int:
    """Return 0 when the merge that is about to be committed may be, 1 when not. Only merges into the integration branch count."""
    context = Context(site)
    here = Git(site.here)
    if here.maybe("symbolic-ref", "-q", "HEAD") != context.integration_ref or not context.config.in_force.gates:
        return 0
    tree = here.out("write-tree")
    parents = [here.out("rev-parse", "HEAD"), *_merge_heads(here)]
    from loki_hooks.system.git.merges import commit_tree

    env = {
        "GIT_AUTHOR_NAME": "loki-hooks",
        "GIT_AUTHOR_EMAIL": "loki-hooks@localhost",
        "GIT_COMMITTER_NAME": "loki-hooks",
        "GIT_COMMITTER_EMAIL": "loki-hooks@localhost",
    }
    commit = commit_tree(context.git, tree, parents, "a merge that is being tested\n", env=env)
    gates = tuple(context.config.in_force.gates.values())
    return _judge(
        context,
        [PushedTree(context.integration, commit, tree, gates)],
        framework,
        say,
        budget=context.config.in_force.push.budget,
    )


def _merge_heads(git: Git) -> list[str]:
    from loki_hooks.system.files import read_plain
    from loki_hooks.system.git.operations import git_dir_of

    raw = read_plain(git_dir_of(git.cwd) / "MERGE_HEAD") or b""
    return raw.decode("ascii", "replace").split()


def _gates_for(context: Context, branch: str) -> tuple[Gate, ...]:
    config = context.config.in_force
    of_branch = [r for r in context.store.read().streams.values() if r.branch == branch and not r.standing]
    is_stream = identify(context, branch) is not None or any(r.origin == "spawned" for r in of_branch)
    return tuple(
        gate
        for gate in config.gates.values()
        if gate.guards(
            branch,
            integration=context.integration,
            is_stream=is_stream,
            is_adopted=bool(of_branch) and not is_stream,
        )
    )


def _judge(context: Context, wanted: list[PushedTree], framework: str, say: Say, *, budget: float) -> int:
    deadline = time.monotonic() + budget
    refused = 0
    seen: dict[tuple[str, str], bool] = {}
    for item in wanted:
        for gate in item.gates:
            key = (item.tree, gate.name)
            if key not in seen:
                seen[key] = _passes(context, item, gate, framework, say, deadline)
            refused += not seen[key]
    return 1 if refused else 0


def _passes(context: Context, item: PushedTree, gate: Gate, framework: str, say: Say, deadline: float) -> bool:
    known = gate_results.lookup(context.git, item.tree, gate, context.config.in_force)
    if known is not None and (known.outcome is Outcome.FAILED or lets_through(gate, known.outcome)):
        return _say_result(item, gate, known, say, recorded=True)
    from loki_hooks.actions.consent import untrusted_reason
    from loki_hooks.actions.gates.run import Job, run_gate  # a push whose result is known need not wait for these
    from loki_hooks.system.locks import BusyError

    ahead = f"run it ahead of the push: `loki-hooks test {item.ref}`"
    left = deadline - time.monotonic()
    if left <= 0:
        say(
            f"loki-hooks: {item.ref} has no result of the gate {gate.name}, and there is no time left to run it (push.budget)"
        )
        say(f"hint: {ahead}")
        return False
    untrusted = untrusted_reason(context, gates_only=True)
    native = framework == "native"
    if untrusted and native:
        raise RefusedError(
            f"the gate {gate.name} may not run: {untrusted}", "`loki-hooks trust --show` shows what it would run"
        )
    say(f"loki-hooks: running the gate {gate.name} on {item.ref} (at most {left:.0f} s)")
    if untrusted:
        say(f"loki-hooks: without set-up, which {untrusted}")
    stop = threading.Event()
    limited = replace(gate, timeout=min(gate.timeout, left))
    job = Job(limited, item.commit, item.tree, item.ref, stop=stop, setup=not untrusted, patience=left)
    try:
        result, _ = run_gate(context, job)
    except BusyError as error:
        say(f"loki-hooks: {item.ref} is refused: {error.message}, and push.budget is over")
        say(f"hint: {ahead}")
        return False
    if result.outcome is Outcome.COULD_NOT_RUN and gate.timeout > left and "timeout" in result.reason:
        say(f"loki-hooks: the gate {gate.name} takes longer than push.budget allows")
        say(f"hint: {ahead}")
        return False
    return _say_result(item, gate, result, say, recorded=False)


def _say_result(item: PushedTree, gate: Gate, result: GateResult, say: Say, *, recorded: bool) -> bool:
    if lets_through(gate, result.outcome):
        if not recorded:
            say(f"loki-hooks: {gate.name} passed on {item.ref} in {result.seconds:.1f} s")
        return True
    for line in result.tail.splitlines():
        say(f"  {line}")
    why = f": {result.reason}" if result.reason else ""
    how = " (recorded result)" if recorded else ""
    say(f"loki-hooks: {item.ref} is refused, {gate.name} {result.outcome}{why}{how}")
    say(f"hint: the command is `{result.command}`; see it run with `loki-hooks test {item.ref}`")
    return False
