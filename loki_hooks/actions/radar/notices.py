"""Notices: one line a branch, written ahead of time, which the checkout and commit hooks show without thinking."""

from __future__ import annotations

from contextlib import suppress

from loki_hooks.actions.context import Context
from loki_hooks.actions.radar.survey import names_of, refresh
from loki_hooks.domain.names import flat
from loki_hooks.domain.streams.status import LIVING
from loki_hooks.domain.train.radar import warning
from loki_hooks.system.clock import seconds_since
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.git.graph import behind

FAR_BEHIND = 20
OLD_DAYS = 14


def write_notices(context: Context) -> None:
    """Bring ``state/notices/`` up to date for every stream.

    ``checkout-<branch>``: it is far behind, or old. ``commit-<branch>``: with whom it will conflict.
    """
    folder = context.site.folder("state", "notices")
    wanted: dict[str, str] = {}
    streams = context.store.read().streams
    names = names_of(streams.values(), context.integration)
    conflicts = refresh(context)
    living = [r for r in streams.values() if r.status in LIVING and r.branch]
    base = context.git.commit_id(context.integration_ref) if living else None
    lacking = behind(context.git, base, [r.branch for r in living]) if base else {}
    for record in living:
        line = warning({names.get(other, other): files for other, files in conflicts.get(record.stream, {}).items()})
        if line:
            wanted[f"commit-{flat(record.branch)}"] = f"{record.branch} {line}"
        missing = lacking.get(record.branch, 0)
        age = (seconds_since(record.created_at) or 0) / 86400
        if missing >= FAR_BEHIND:
            text = f"{record.branch} is {missing} commits behind {context.integration}"
            wanted[f"checkout-{flat(record.branch)}"] = text
        elif age >= OLD_DAYS:
            wanted[f"checkout-{flat(record.branch)}"] = f"{record.branch} was begun {age:.0f} days ago"
    for path in folder.glob("*-*"):
        if path.name.startswith(("checkout-", "commit-")) and path.name not in wanted:
            with suppress(OSError):  # a folder of that name is somebody's
                path.unlink()
    for name, text in wanted.items():
        if (read_plain(folder / name) or b"").decode("utf-8", "replace") != text + "\n":
            write_atomic(folder / name, text + "\n")
