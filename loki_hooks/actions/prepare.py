"""Make a stream's worktree and everything in it that is not the project's: repeatable, wherever it was cut off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.assets import template_text
from loki_hooks.domain.status import Status
from loki_hooks.domain.streams import State, StreamRecord
from loki_hooks.errors import LokiError
from loki_hooks.system import environment as env_files
from loki_hooks.system import events
from loki_hooks.system.files import write_atomic
from loki_hooks.system.git import Git, list_worktrees
from loki_hooks.system.site import LOKI, ensure_loki, make_plain_folder
from loki_hooks.system.worktrees import add, clear_half_made, finish, take_back


def make_worktree(context: Context, record: StreamRecord) -> None:
    """Make the worktree of a planned stream, or finish what a killed one began.

    Raises ``LokiError``; then nothing is left behind.
    """
    path = Path(record.path)
    git = context.git
    at = git.commit_id(f"refs/heads/{record.branch}")
    made_before = at is not None and git.commit_id(base_ref(record.stream)) == at
    existing = at is not None and (made_before or record.explicit_base)
    if not any(w.path == path and w.branch == record.branch for w in list_worktrees(git)):
        clear_half_made(context.site, path)
        if not existing:  # said first, so that a branch that a killed spawn left is known to be ours
            git.update_ref(base_ref(record.stream), record.base, None, "base")
        add(context.site, path, record.branch, record.base, new_branch=not existing)
    else:
        finish(context.site, path)
    try:
        furnish(context, record)
    except LokiError:
        ours = at is None or (made_before and not record.explicit_base)
        take_back(context.site, git, path, record.branch if ours else "", record.base)
        raise


def base_ref(stream: str) -> str:
    return f"refs/loki/base/{stream}"


def furnish(context: Context, record: StreamRecord) -> tuple[tuple[str, str], ...]:
    """Give the worktree its own ``.loki/``; record its base as a ref. Returns what is recorded as copied."""
    path = Path(record.path)
    if record.base:
        context.git.update_ref(base_ref(record.stream), record.base, None, "base")
    ensure_loki(path / LOKI)
    make_plain_folder(path / LOKI / "signals", path)
    continuity = path / LOKI / "CONTINUITY.md"
    if not continuity.exists():
        from jinja2 import Environment, StrictUndefined

        others = [r for r in context.store.read().streams.values() if r.stream != record.stream and not r.standing
                  and r.status is not Status.ARCHIVED]
        page = Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)  # noqa: S701  not HTML
        text = page.from_string(template_text("CONTINUITY.md.j2")).render(
            record=record, integration=context.integration, others=others
        )
        write_atomic(continuity, text)
    return record.copied


def copy_environment(context: Context, record: StreamRecord) -> StreamRecord:
    """Copy the configured untracked files into the worktree, record which, keep them out of git. Needs the user's word."""
    if context.site.main is None:
        return record
    path = Path(record.path)
    names = env_files.to_copy(context.site.main, path, context.config.working.environment.copy)
    if not names:
        return record
    unsafe = env_files.exclude(Git(path), context.site.common, names)  # before they are there
    if unsafe:
        events.record(context.site, "environment-not-copied", record.stream, evidence={"files": list(unsafe)},
                      detail="the ignore rules of the branch would show them to git")
    copied = env_files.copy_files(context.site.main, path, [name for name in names if name not in unsafe])
    if not copied:
        return record
    events.record(context.site, "environment-copied", record.stream, evidence={"files": [name for name, _ in copied]})

    def remember(state: State) -> State:
        current = state.streams.get(record.stream)
        if current is None:
            return state
        merged = {**dict(current.copied), **dict(copied)}
        return state.with_stream(replace(current, copied=tuple(sorted(merged.items()))))

    return context.store.update(remember).streams.get(record.stream, record)


def untrusted_reason(context: Context, *, gates_only: bool = False) -> str:
    """Return '' or why nothing that the repository brings may be run: the user has not said so yet (README, "Consent")."""
    from loki_hooks.system import trust

    items = trust.items_of(context.config.working, context.config.in_force)
    if gates_only:
        items = tuple(item for item in items if item.kind in {"gate", "setup"})
    missing = trust.missing(context.site, items)
    if not missing:
        return ""
    names = ", ".join(f"{item.kind} {item.name}".strip() for item in missing[:4])
    return f"waits for your word (`loki-hooks trust`): {names}"


def require_trust(context: Context) -> None:
    """Raise ``LokiError`` unless the user has trusted what the repository brings."""
    reason = untrusted_reason(context)
    if reason:
        raise LokiError(f"this repository's commands are not trusted yet: {reason.partition(': ')[2]}",
                        "read them with `loki-hooks trust --show`, then say `loki-hooks trust`")
