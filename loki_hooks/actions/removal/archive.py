"""What stays of a stream in the archive."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loki_hooks.actions.context import Context
from loki_hooks.domain.names import flat
from loki_hooks.domain.streams.record import StreamRecord
from loki_hooks.domain.streams.stages import PLAN_FILE
from loki_hooks.errors import LokiError
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.json import dump_json
from loki_hooks.system.site import LOKI
from loki_hooks.system.trees import copy_tree, remove_tree

LOKI_IN_ARCHIVE = "loki"
"""What else was in the worktree's ``.loki/``."""
_NOT_KEPT = frozenset({".gitignore", "signals", "CONTINUITY.md", PLAN_FILE})


def archive_stream(context: Context, record: StreamRecord, time: str, facts: Mapping[str, Any]) -> Path:
    """Keep the stream's prompt and all of its worktree's ``.loki/`` but the signals, with how to undo.

    Environment files are not kept. Raises ``LokiError`` where something cannot be copied; then nothing of it is left.
    """
    site = context.site
    folder = site.folder("archive", f"{flat(record.stream)}-{time}")
    for source, name in (
        (Path(record.path) / LOKI / "CONTINUITY.md", "CONTINUITY.md"),
        (Path(record.path) / LOKI / PLAN_FILE, PLAN_FILE),
        (site.loki / "state" / "prompts" / f"{record.stream}.md", "prompt.md"),
    ):
        data = read_plain(source) if record.path else None
        if data is not None:
            write_atomic(folder / name, data)
    own = Path(record.path) / LOKI
    if record.path and own.is_dir() and not own.is_symlink():
        try:
            copy_tree(own, folder / LOKI_IN_ARCHIVE, lambda name: name in _NOT_KEPT or name.startswith(".clone-"))
        except OSError as error:
            remove_tree(folder)
            raise LokiError(f"cannot archive {error.filename or own}: {error.strerror or error}") from error
    write_atomic(folder / "record.json", dump_json({**record.to_json(), **facts}))
    by_hand = f"    git worktree add -b {record.branch} '{record.path}' {facts['tip']}\n" if facts["trash"] else ""
    kept = f" Its tip {facts['tip']} is kept as `{facts['trash']}`." if facts["trash"] else ""
    write_atomic(
        folder / "UNDO.md",
        f"# How to bring {record.stream} back\n\n    loki-hooks restore {record.name}\n\n"
        f"does it.{kept}" + (f" By hand:\n\n{by_hand}" if by_hand else "\n"),
    )
    return folder


def _move_logs(context: Context, record: StreamRecord, archive: Path) -> None:
    logs = context.site.loki / "logs"
    for pattern in (
        f"session-{record.stream}.log",
        f"session-{record.stream}.log.[0-9]*",
        f"setup-{record.stream}.log",
        f"commit-{record.stream}.log",
    ):
        for log in sorted(logs.glob(pattern)):
            if not log.is_symlink():
                shutil.move(log, archive / log.name)
