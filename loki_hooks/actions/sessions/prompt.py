"""The prompt that a session gets, and the argument vector of its agent.

Prompts are ``templates/prompts/<kind>-<stage>.md.j2``, else ``<stage>.md.j2`` (jinja2). The task, names, logs and test
output go in as data, never as a template. A stream that is worked on again is told what is there already, with the hint of
``templates/hints/`` for what the run before came to grief on; the stage after an analysis gets its plan.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loki_hooks.actions.context import Context
from loki_hooks.actions.streams.continuity import Sibling, continuity_of, siblings
from loki_hooks.actions.writing.rounds import items_of
from loki_hooks.assets import asset_dir
from loki_hooks.domain.names import flat, shown
from loki_hooks.domain.sessions.ending import Trouble, plain_line
from loki_hooks.domain.sessions.prompts import (
    OWN_WORK,
    agent_words,
    as_argument,
    fenced,
    listed,
    takes_task,
    templates_for,
)
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.stages import ANALYZE, PLAN_FILE, stage_after
from loki_hooks.errors import BadInputError, RefusedError
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.git.git import Git
from loki_hooks.system.json import read_json
from loki_hooks.system.processes import session_log
from loki_hooks.system.processes.run import scrubbed
from loki_hooks.system.site import LOKI
from loki_hooks.system.store import events

if TYPE_CHECKING:
    from jinja2 import Environment

PLAN_LINES, PLAN_WIDTH = 400, 1000
"""So much of a plan goes into a prompt; the rest is in its file."""


def render_prompt(context: Context, record: StreamRecord) -> str:
    """Return the prompt of the stream's session at its stage."""
    stages, stage = context.stages_of(record), context.stage_of(record)
    plan = "" if stage == ANALYZE else plan_of(record)
    page = _pages().select_template(list(templates_for(record.kind, stage)))
    return (
        page.render(
            task=record.task.text.strip() or f"Continue the work on {record.name}.",
            files=list(record.task.files),
            kind=record.kind,
            name=record.name,
            file_name=flat(record.name),
            stream=record.stream,
            branch=record.branch,
            base=record.base or context.integration,
            stage=stage,
            next_stage=stage_after(stages, stage),
            plan=fenced(plan, lines=PLAN_LINES, width=PLAN_WIDTH, end=False) if plan else "",
            trouble=record.trouble if record.trouble in {trouble.value for trouble in Trouble} else "",
            timeout=f"{context.config.working.session.timeout:g}" if context.config.working.session.timeout else "",
            worktree=record.path,
            main=str(context.site.root),
            integration=context.integration,
            again=record.again.strip(),
            gates=[
                gate.command if isinstance(gate.command, str) else " ".join(gate.command)
                for gate in context.config.in_force.gates.values()
            ],
            commits_for_them=context.config.working.session.commit == "all",
            siblings=_siblings(context, record),
            before=_what_is_there(context, record),
            read_dirs=read_dirs(context, record),
            items=_items(context, record),
        ).strip()
        + "\n"
    )


@functools.cache
def _pages() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader([asset_dir("templates") / "prompts", asset_dir("templates")]),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  plain text for an agent, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
    )


def plan_of(record: StreamRecord) -> str:
    """Return the plan that an analysis left in the worktree, '' when there is none."""
    raw = read_plain(Path(record.path) / LOKI / PLAN_FILE) if record.path else None
    return (raw or b"").decode("utf-8", "replace").strip()


def prompt_path(context: Context, stream: str) -> Path:
    """Return where the prompt of the stream's session is written, for its agent and for people."""
    return context.site.loki / "state" / "prompts" / f"{stream}.md"


def write_prompt(context: Context, record: StreamRecord, prompt: str) -> None:
    context.site.folder("state", "prompts")
    write_atomic(
        prompt_path(context, record.stream), prompt, 0o600
    )  # a task may hold what not everybody here shall read


def agent_argv(context: Context, record: StreamRecord, prompt: str) -> list[str]:
    """Return the agent's argument vector; the prompt goes in as one argument, or as a file, never through a shell.

    Raises ``BadInputError`` for an agent that is not known, or that has no place for what is configured.
    """
    config = context.config.working
    launch = config.session.launch(record.kind, record.agent)
    agent = config.agents.get(launch.agent)
    if agent is None:
        raise BadInputError(
            f"there is no agent called {shown(launch.agent)}", "known are " + ", ".join(sorted(config.agents))
        )
    path = str(prompt_path(context, record.stream))
    values = {
        "prompt": as_argument(prompt, path),
        "task": as_argument(record.task.text, path),
        "prompt_file": path,
        "stream": record.stream,
        "name": record.name,
        "worktree": record.path,
        "branch": record.branch,
        "main": str(context.site.root),
    }
    return agent_words(agent, launch, values, read_dirs(context, record))


def needs_task(context: Context, kind: str, agent: str) -> bool:
    """Return whether a session of this kind, by this agent ('' for the configured one), has nothing to do without a task."""
    config = context.config.working
    chosen = config.agents.get(config.session.launch(kind, agent).agent)
    return kind not in OWN_WORK and chosen is not None and takes_task(chosen.command)


def require_agent(context: Context, record: StreamRecord) -> None:
    """Raise ``LokiError`` when the stream's agent cannot be started as it is configured, or its program is missing."""
    program = agent_argv(context, record, "")[0]
    if "/" in program:
        # A relative path is the project's own program: it is looked for where the agent will run.
        found = (context.site.root / program).exists() or Path(program).is_file()
    else:
        found = shutil.which(program, path=scrubbed().get("PATH")) is not None
    if not found:
        config = context.config.working
        name = config.session.launch(record.kind, record.agent).agent
        raise RefusedError(
            f"the agent {name} needs {program}, which is not on PATH",
            f"install it, or choose another: {', '.join(sorted(config.agents))}",
        )


def read_dirs(context: Context, record: StreamRecord) -> list[str]:
    """Return the folders that the stream's agent may read beside its own, absolute; those that are not there are left out."""
    state = context.store.read()
    found: list[Path] = []
    for word in context.config.working.session.launch(record.kind, record.agent).read_dirs:
        stream = state.find(word)
        if word == "*":
            found += [Path(r.path) for _, r in sorted(state.streams.items()) if r.path and not r.standing]
        elif stream is not None and stream.path:
            found.append(Path(stream.path))
        else:
            found.append(Path(os.path.normpath(context.site.root / word)))
    kept = {str(path): None for path in found if path.is_dir() and str(path) != record.path}
    return list(kept)


# What others do, and what was done before -------------------------------------------------------------------------


def _siblings(context: Context, record: StreamRecord) -> list[Sibling]:
    found = siblings(context, context.store.read(), context.git.refs("refs/heads/"))
    return [other for other in found if other.stream != record.stream]


def _what_is_there(context: Context, record: StreamRecord) -> dict[str, Any] | None:
    """Return what a run before has left, None for a first run in which nothing was done yet."""
    commits = (
        context.git.maybe("log", "--reverse", "--format=%h %s", f"{record.base}..refs/heads/{record.branch}")
        if record.base
        else ""
    )
    if not record.last_run and not record.before and not commits:
        return None
    path = Path(record.path)
    dirt = Git(path).maybe("status", "--short", "--untracked-files=normal") if (path / ".git").exists() else ""
    log = _tail_of_log(context, record)
    return {
        "how": record.before,
        "commits": listed((commits or "").splitlines(), 30),
        "dirt": listed((dirt or "").splitlines(), 30),
        "log": fenced(log, lines=20) if log.strip() else "",
        "report": _report(context, record) if record.trouble == Trouble.REJECTED else [],
        "conflicts": _conflicts(context, record) if record.trouble == Trouble.CONFLICTED else {},
    }


_UNSAID: Mapping[str, Any] = {
    **dict.fromkeys(
        ("trigger", "symbol", "file", "line", "to", "commit", "stream", "before", "after", "reason", "tag"), ""
    ),
    **dict.fromkeys(("docs", "near", "commits", "figures", "tasks", "people"), ()),
    "breaking": False,
    "folder": "",
}
"""What stands in a prompt for what an item does not say: others may put items into the queues, too."""


def _items(context: Context, record: StreamRecord) -> list[dict[str, Any]]:
    """Return the items that the session has to see to, and of what it writes about: what its sessions wrote down."""
    found = []
    for item in items_of(context, record):
        stream = str(item.get("stream") or "")
        notes = continuity_of(context, stream) if record.kind == "blog" and stream else ""
        said = {key: " ".join(text.split()) if isinstance(text, str) else text for key, text in item.items()}
        found.append({**_UNSAID, **said, "notes": fenced(notes, lines=80) if notes.strip() else ""})
    return found


def _tail_of_log(context: Context, record: StreamRecord) -> str:
    text = session_log.tail(context.site.loki / "logs" / f"session-{record.stream}.log")
    return "\n".join(plain_line(line) for line in text.splitlines())


def _report(context: Context, record: StreamRecord) -> list[dict[str, str]]:
    """Return what the gates said that failed: from the last results that were recorded for the stream."""
    value = read_json(context.site.loki / "state" / "test-results.json")
    entry = value.get(record.stream) if isinstance(value, dict) else None
    gates = entry.get("gates") if isinstance(entry, dict) else None
    found = []
    for name, result in sorted(gates.items()) if isinstance(gates, dict) else ():
        if isinstance(result, Mapping) and result.get("outcome") == "failed":
            found.append(
                {
                    "gate": str(name),
                    "command": str(result.get("command") or ""),
                    "tail": fenced(str(result.get("tail") or "")),
                }
            )
    return found


def _conflicts(context: Context, record: StreamRecord) -> dict[str, dict[str, str]]:
    """Return the files in conflict and the last commit of each side on them, as the pass that saw it wrote down."""
    last: Mapping[str, Any] = {}
    for event in events.read_all(context.site):
        if event.get("event") == "conflicted" and event.get("stream") == record.stream:
            last = event
    evidence = last.get("evidence")
    files = evidence.get("files") if isinstance(evidence, Mapping) else None
    if not isinstance(files, Mapping):
        return {}
    return {
        str(path): {side: str(sides.get(side, "")) for side in ("ours", "theirs")}
        for path, sides in files.items()
        if isinstance(sides, Mapping)
    }
