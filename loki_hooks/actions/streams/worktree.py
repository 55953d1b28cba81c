"""Make a stream's worktree and everything in it that is not the project's: repeatable, wherever it was cut off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loki_hooks.actions.context import Context
from loki_hooks.actions.streams.continuity import Sibling, continuity_file, siblings, write_continuity
from loki_hooks.domain.config import Environment
from loki_hooks.domain.refs import BASE, base_ref
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.state import State
from loki_hooks.errors import LokiError
from loki_hooks.system.git.git import Git, list_worktrees
from loki_hooks.system.site import LOKI, ensure_loki, make_plain_folder
from loki_hooks.system.store import events
from loki_hooks.system.worktrees import copies
from loki_hooks.system.worktrees.environment import packages_in
from loki_hooks.system.worktrees.registry import WantedWorktree, add_all, clear_half_made, finish, take_back

_WILD = frozenset("*?[")


def make_worktree(context: Context, record: StreamRecord) -> None:
    """Make the worktree of a planned stream, or finish what a killed one began.

    Raises ``LokiError``; then nothing is left behind.
    """
    for error in make_worktrees(context, [record]).values():
        raise error


@dataclass(frozen=True)
class _Making:
    """``existing``: the branch was there. ``ours``: it may go when the worktree cannot be made."""

    record: StreamRecord
    existing: bool
    ours: bool

    @property
    def path(self) -> Path:
        return Path(self.record.path)


def make_worktrees(context: Context, records: Sequence[StreamRecord]) -> dict[str, LokiError]:
    """Make the worktrees of planned streams, sharing the work, or finish what a killed spawn began.

    Returns what failed, by stream: nothing of it is left behind, and it costs the others nothing.
    """
    site, git = context.site, context.git
    known = git.refs("refs/heads/", BASE)
    listed = {(str(w.path), w.branch) for w in list_worktrees(git)}
    making, failed = [], dict[str, LokiError]()
    for record in records:
        at = known.get(f"refs/heads/{record.branch}")
        made_before = at is not None and known.get(base_ref(record.stream)) == at
        existing = at is not None and (made_before or record.explicit_base)
        making.append(_Making(record, existing, at is None or (made_before and not record.explicit_base)))
    # The bases are said first, so that a branch that a killed spawn left is known to be ours.
    pin_bases(context, records)
    wanted = []
    for m in making:
        try:
            if (str(m.path), m.record.branch) in listed:
                finish(site, m.path)
            else:
                clear_half_made(site, m.path)
                wanted.append(WantedWorktree(m.path, m.record.branch, m.record.base, new_branch=not m.existing))
        except LokiError as error:
            failed[m.record.stream] = error
    errors = add_all(site, wanted)
    failed |= {m.record.stream: errors[m.path] for m in making if m.path in errors}
    others = siblings(context, context.store.read(), known)
    for m in making:
        try:
            if m.record.stream not in failed:
                _furnish(context, m.record, others)
        except LokiError as error:
            failed[m.record.stream] = error
            take_back(site, git, m.path, m.record.branch if m.ours else "", m.record.base)
    return failed


def pin_bases(context: Context, records: Sequence[StreamRecord]) -> None:
    """Record the commits that streams begin at, as refs. Raises ``LokiError``."""
    lines = "".join(f"update {base_ref(r.stream)} {r.base}\n" for r in records if r.base)
    if lines:
        context.git.out("update-ref", "--create-reflog", "-m", "base", "--stdin", stdin=lines.encode())


def furnish(context: Context, record: StreamRecord) -> tuple[tuple[str, str], ...]:
    """Give the worktree its own ``.loki/``; record its base as a ref. Returns what is recorded as copied."""
    pin_bases(context, [record])
    known = {} if continuity_file(Path(record.path)).exists() else context.git.refs("refs/heads/")
    _furnish(context, record, siblings(context, context.store.read(), known) if known else ())
    return record.copied


def _furnish(context: Context, record: StreamRecord, others: Sequence[Sibling]) -> None:
    path = Path(record.path)
    ensure_loki(path / LOKI)
    make_plain_folder(path / LOKI / "signals", path)
    write_continuity(context, record, others)


def _of_packages(worktree: Path, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the same names in the folders of a monorepo's packages, where nobody has said which files are copied."""
    if patterns != Environment().copy:
        return ()
    return tuple(f"{folder}/{p}" for folder in packages_in(worktree) if _WILD.isdisjoint(folder) for p in patterns)


def bring_environment(
    context: Context, path: Path, wanted: Environment
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Copy, or link, the untracked files that are wanted into a worktree; return which, and which git could not ignore."""
    main = context.site.main
    to_link = copies.to_link(main, path, wanted.link) if main else ()
    patterns = (*wanted.copy, *_of_packages(path, wanted.copy))
    to_copy = copies.to_copy(main, path, patterns) if main else ()
    names = (*to_link, *(name for name in to_copy if name not in to_link))
    if main is None or not names:
        return (), ()
    unsafe = copies.exclude(Git(path), context.site.common, names)  # before they are there
    safe = [name for name in names if name not in unsafe]
    linked = copies.link_files(main, path, [name for name in safe if name in to_link])
    return linked + copies.copy_files(main, path, [name for name in safe if name not in to_link]), unsafe


def copy_environment(context: Context, record: StreamRecord) -> StreamRecord:
    """Copy, or link, the configured untracked files into the worktree, record which, keep them out of git.

    Needs the user's word.
    """
    copied, unsafe = bring_environment(context, Path(record.path), context.config.working.environment)
    if unsafe:
        events.record(
            context.site,
            "environment-not-copied",
            record.stream,
            evidence={"files": list(unsafe)},
            detail="the ignore rules of the branch would show them to git",
        )
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
