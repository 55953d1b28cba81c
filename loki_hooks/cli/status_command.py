"""`loki-hooks status`: a table for people, JSON for programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence

import click

from loki_hooks.actions.context import Context
from loki_hooks.actions.requests.wake import wake
from loki_hooks.actions.view.orphans import LONE_BRANCH, Orphan
from loki_hooks.actions.view.since import looked
from loki_hooks.actions.view.status import Overview, StreamStatus, overview
from loki_hooks.cli.console import answer, answer_json, say, table_with_notes
from loki_hooks.domain.advice import one_line
from loki_hooks.domain.sessions.evidence import infer
from loki_hooks.domain.streams.status import SHOWS_STAGE, WORDS, Status
from loki_hooks.domain.train.radar import shown_files
from loki_hooks.system.site import discover, require_own

MAX_SHARED = 10
MAX_BRANCHES = 2


@click.command("status")
@click.option("--watch", is_flag=True, help="Show it again every second until Ctrl-C.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print {integration_branch, main, cap, active, verdict, streams, queues}."
)
def status(watch: bool, as_json: bool) -> None:
    """Show the streams, and what each of them waits for."""
    while True:
        context = Context(require_own(discover()))
        found = overview(context)
        if found.over and context.site.enabled:
            wake(context.site, "status")
        if as_json:
            answer_json(found.to_json())
        else:
            if watch:
                click.clear()
            show(found)
            if sys.stdout.isatty() and context.site.enabled:
                looked(context.site)
        if not watch:
            return
        time.sleep(1)


def show(found: Overview) -> None:
    """Print the overview for people."""
    dirty = ", uncommitted changes" if found.main_dirty else ""
    answer(
        f"{found.main_path} on {found.main_branch or 'a detached HEAD'}{dirty}; streams merge into {found.integration}"
    )
    answer(f"sessions: {found.active} running, cap {found.cap}")
    if found.streams:
        answer("")
        heads = ("STREAM", "STATUS", "BRANCH", "±", "GATE", "CONFLICTS", "WHY / TASK")
        table_with_notes(heads, [_row(s) for s in found.streams])
    else:
        answer('no streams now: `loki-hooks spawn NAME --task "…"` starts one')
    for line in found.went:
        answer(f"since you last looked: {line}")
    waiting = ", ".join(f"{count} {name}" for name, count in found.queues.items() if count)
    if waiting:
        answer(f"\nqueued: {waiting}")
    answer(f"\nverdict: {found.verdict.word}")
    for reason in found.verdict.reasons:
        answer(f"  {reason}")
    for path, names in list(found.shared.items())[:MAX_SHARED]:
        answer(f"  {' and '.join(names)} touch {path}")
    if len(found.shared) > MAX_SHARED:
        answer(f"  … and {len(found.shared) - MAX_SHARED} more files that several streams touch")
    for note in found.notes:
        say(note)
    for line in _folded(found.orphans):
        say(line)


def _folded(orphans: Sequence[Orphan]) -> Iterator[str]:
    """Yield each orphan's line; of many branches, which may all be the user's own, one line."""
    branches = [orphan for orphan in orphans if orphan.what == LONE_BRANCH]
    yield from (str(orphan) for orphan in orphans if orphan not in branches or len(branches) <= MAX_BRANCHES)
    if len(branches) > MAX_BRANCHES:
        names = ", ".join(orphan.about for orphan in branches[:MAX_BRANCHES])
        yield f"{len(branches)} branches without worktree and without stream ({names} …): `{branches[0].command}` takes one up"


def _row(s: StreamStatus) -> tuple[str, ...]:
    dirt = " *" if s.dirty else ""
    gate = ", ".join(f"{name} {outcome}" for name, outcome in sorted(s.gate.items()))
    if s.not_in_force:
        gate = f"{gate} (its own is not in force)".strip()
    return (
        s.record.stream,
        _status(s),
        s.record.branch,
        f"+{s.ahead} -{s.behind}{dirt}",
        gate,
        "; ".join(f"{name} ({shown_files(files)})" for name, files in s.conflicts.items()),
        _why(s) or (str(infer(s.evidence)) if s.evidence else s.record.task.title),
    )


def _status(s: StreamStatus) -> str:
    if s.record.status is Status.PROPOSED and not s.record.reason.startswith("http"):
        return "pushed, no pull request"
    stage = f" ({s.shown_stage})" if s.shown_stage and s.record.status in SHOWS_STAGE else ""
    return WORDS[s.record.status] + stage


def _why(s: StreamStatus) -> str:
    return "; ".join(filter(None, (one_line(s.reason), s.advice)))
