"""Spawn streams: check everything, then say what shall be (planned), make it, and let reconcile start it.

What is written first is the intent; so a spawn that is killed anywhere is finished, or taken back, by the next
pass. Nothing is made before every name, path, branch, agent and base was found good.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from loki_hooks.actions.consent import require_trust
from loki_hooks.actions.context import Context
from loki_hooks.actions.sessions.prompt import agent_argv, render_prompt, require_agent
from loki_hooks.actions.streams.make import Spawned, make_streams
from loki_hooks.actions.streams.plan import Request, in_session, plan_streams
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.state import State
from loki_hooks.domain.streams.status import Status
from loki_hooks.system.worktrees.room import require_room

WAIT_FOR_PASS = 30.0


def spawn(context: Context, request: Request, *, say: Callable[[str], None] = lambda _: None) -> list[Spawned]:
    """Make the streams and start what the cap allows. One that fails is reported and leaves nothing behind."""
    from loki_hooks.actions.landing import upstream

    if request.launch:
        require_trust(context)
    upstream.catch_up(context, say)
    planned = plan_streams(context, request)
    if request.launch and planned:
        require_agent(context, planned[0])
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=1) as pool:  # in a large repository both take their time
        dirty = pool.submit(context.git.maybe, "status", "--porcelain", "--untracked-files=no")
        if planned:
            require_room(context.site, context.git, planned[0].base, [Path(record.path) for record in planned])
    if context.site.main is not None and dirty.result():
        say(
            f"{context.site.main} has uncommitted changes: the streams begin at the last commit, without them "
            "(commit or stash them to take them along)"
        )
    context.site.enable("spawn")
    made = make_streams(context, planned, launch=request.launch)
    if request.launch and any(not m.error for m in made):
        from loki_hooks.actions.reconcile.run import reconcile

        reconcile(context.site, wait=WAIT_FOR_PASS)
    state = context.store.read()
    return [m if m.error else _now(state, m) for m in made]


def _now(state: State, made: Spawned) -> Spawned:
    record = state.streams.get(made.stream)
    if record is None:
        return replace(made, status="failed", error="it ended at once: see the event log")
    process = record.session or record.claim
    if in_session(record):
        return replace(made, status="running", pid=process.pid if process else None)
    if record.status in {Status.QUEUED, Status.OPEN}:
        return replace(made, status=record.status.value)
    if record.status in {Status.FAILED, Status.ESCALATED}:
        return replace(made, status="failed", error=record.reason)
    return replace(made, status="running")  # so quick that it has ended well already


def preview(context: Context, record: StreamRecord) -> dict[str, Any]:
    """Return what `--dry-run` shows of one stream: where, on what, with exactly which prompt and argument vector."""
    prompt = render_prompt(context, record)
    return {
        **Spawned(record.name, record.stream, record.branch, record.path, "planned").to_json(),
        "base": record.base,
        "stages": list(context.stages_of(record)),
        "prompt": prompt,
        "argv": agent_argv(context, record, prompt),
    }
