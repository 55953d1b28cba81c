"""``.loki/CONTINUITY.md`` of a worktree: written once, from a template; from then on it is its session's own.

Only the line about the last sync with the integration branch is ours to change later, and only while it stands there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.actions.context import Context
from loki_hooks.assets import template_text
from loki_hooks.domain.streams.status import LIVING
from loki_hooks.errors import LokiError
from loki_hooks.system.clock import now
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.git.git import split_z
from loki_hooks.system.site import LOKI
from loki_hooks.system.store import events

if TYPE_CHECKING:
    from jinja2 import Template

    from loki_hooks.actions.context import Context
    from loki_hooks.domain.streams.record import StreamRecord
    from loki_hooks.domain.streams.state import State

FILES_SHOWN = 10
LOOKED_AT = 16
"""So many siblings are looked at for the files that they touch: more would not be read either."""
_SYNC = re.compile(r"^- Last sync with `[^`\n]*`: .*$", re.MULTILINE)


@dataclass(frozen=True)
class Sibling:
    """Another stream at work: what the template shows of it."""

    stream: str
    branch: str
    title: str
    files: tuple[str, ...]
    more: int


def continuity_file(worktree: Path) -> Path:
    return worktree / LOKI / "CONTINUITY.md"


def siblings(context: Context, state: State, heads: Mapping[str, str]) -> tuple[Sibling, ...]:
    """Return the streams at work, each with the files that its task names or its commits change.

    ``heads``: the commit of each branch, by full ref name.
    """
    found = []
    looked = 0
    for record in sorted(state.streams.values(), key=lambda r: r.stream):
        if record.standing or record.status not in LIVING:
            continue
        files = list(record.task.files)
        tip = heads.get(f"refs/heads/{record.branch}", "")
        if tip and record.base and tip != record.base and looked < LOOKED_AT:
            looked += 1
            between = f"{context.integration_ref}...{tip}"
            listed = context.git.maybe("diff", "--name-only", "-z", "--no-renames", between, "--")
            files += [name for name in split_z(listed or "") if name not in files]
        found.append(
            Sibling(
                record.stream,
                record.branch,
                record.task.title,
                tuple(files[:FILES_SHOWN]),
                max(0, len(files) - FILES_SHOWN),
            )
        )
    return tuple(found)


def write_continuity(context: Context, record: StreamRecord, others: Sequence[Sibling]) -> None:
    """Write the worktree's CONTINUITY.md unless there is one."""
    path = continuity_file(Path(record.path))
    if path.exists():
        return
    text = _template().render(
        record=record,
        integration=context.integration,
        now=now(),
        others=[other for other in others if other.stream != record.stream],
    )
    write_atomic(path, text)


def note_sync(context: Context, worktree: Path, commit: str) -> None:
    """Say in the worktree's CONTINUITY.md that it has the integration branch's ``commit`` now; an event, where it cannot."""
    path = continuity_file(worktree)
    text = (read_plain(path) or b"").decode("utf-8", "surrogateescape")
    line = f"- Last sync with `{context.integration}`: `{commit[:12]}` at {now()}"
    changed = _SYNC.sub(lambda _: line, text, count=1)
    if changed != text:
        try:
            write_atomic(path, changed)
        except LokiError as error:
            events.record(context.site, "continuity-not-noted", detail=f"{path}: {error.message}", commit=commit)


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    page = Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)  # noqa: S701  not HTML
    return page.from_string(template_text("CONTINUITY.md.j2"))


def continuity_of(context: Context, stream: str) -> str:
    """Return what the sessions of a stream wrote down, from its archive (the newest) or its worktree; '' when nothing."""
    record = context.store.read().streams.get(stream)
    archive = context.site.loki / "archive"
    found = sorted(p for p in archive.glob(f"{stream}-2*") if p.is_dir() and not p.is_symlink()) if stream else []
    places = [path / "CONTINUITY.md" for path in reversed(found)]
    if record is not None and record.path:
        places.insert(0, Path(record.path) / ".loki" / "CONTINUITY.md")
    return next((data.decode("utf-8", "replace") for place in places if (data := read_plain(place))), "")
