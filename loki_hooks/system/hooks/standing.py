"""Whether git still comes to the hooks that `install` put in, told from files and settings: nothing is run.

Other tools' installers (lefthook's, husky's) rename, overwrite or bypass what stands there. `doctor` proves more, and
takes longer.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.domain.install.chain import SHIM_ID, legacy, owner_of
from loki_hooks.domain.install.values import HOOKS, InstallWay, Owner
from loki_hooks.errors import LokiError
from loki_hooks.system.hooks.files import configured, content, hooks_folder, hooks_path, is_ours
from loki_hooks.system.hooks.record import Configured, InstallRecord, Written, read_record
from loki_hooks.system.store.fronts import note_fronts

if TYPE_CHECKING:
    from loki_hooks.system.site import Site


@dataclass(frozen=True)
class LostHook:
    """A hook that git does not come to. ``displaced``: another tool's stands, or nothing, where ours was put."""

    hook: str
    why: str
    displaced: bool = False


def lost_hooks(site: Site) -> tuple[LostHook, ...]:
    """Return the installed hooks that git does not come to any more, in the main worktree; () where none was installed."""
    try:
        record = read_record(site)
    except LokiError:
        return ()
    keys = {change.key for change in record.changes if isinstance(change, Configured)}
    wanted = [name for name in HOOKS if f"hook.loki-{name}.command" in keys]
    if wanted:
        return _not_configured(site, wanted)
    places = _places(record)
    if not places:
        return ()
    try:
        folder = hooks_folder(site)
    except LokiError as error:
        return tuple(LostHook(name, error.message) for name in places)
    put = {os.path.realpath(path.parent) for path in places.values()}
    if os.path.realpath(folder) not in put:
        path, scope = hooks_path(site)
        return tuple(LostHook(name, f"core.hooksPath ({scope}) is {path}") for name in places)
    return tuple(lost for name in places if (lost := _lost(folder / name, name, record)) is not None)


def note_places(site: Site) -> None:
    """Have our hooks themselves see, at little cost, that another tool displaced one of them."""
    places = _places(read_record(site))
    note_fronts(str(site.common), [str(path) for path in places.values()])


def _places(record: InstallRecord) -> dict[str, Path]:
    """Return where `install` put hook files of ours, by hook."""
    written = [change for change in record.changes if isinstance(change, Written) and not change.inserted]
    return {
        name: change.path
        for name in HOOKS
        for change in written
        if change.after is not None
        and change.path.name in {name, legacy(name, 1)}
        and not _of_framework(record, change)
    }


def _of_framework(record: InstallRecord, change: Written) -> bool:
    """Whether it is the framework's own script, which its own installer wrote."""
    return record.way == InstallWay.PRE_COMMIT.value and not change.path.name.endswith(".legacy")


def _lost(front: Path, name: str, record: InstallRecord) -> LostHook | None:
    if is_ours(front):
        return None
    data = content(front)
    if data is None:
        return LostHook(name, f"{front} is gone", displaced=record.way == InstallWay.NATIVE.value)
    owner = owner_of(data)
    if owner in {Owner.PRE_COMMIT, Owner.PREK}:  # it runs what is below it
        below = Path(legacy(str(front), 1))
        if record.way == InstallWay.PRE_COMMIT.value or is_ours(below):
            return None if is_ours(below) else LostHook(name, f"{below} is gone", displaced=True)
        return LostHook(name, f"{front} is {owner.value}'s now", displaced=True)
    if owner is Owner.OURS:
        return LostHook(name, f"{front} is not executable", displaced=True)
    if f"loki/hooks/{name}".encode() in data:
        return None
    return LostHook(name, f"{front} is another tool's now", displaced=record.way == InstallWay.NATIVE.value)


def _not_configured(site: Site, wanted: list[str]) -> tuple[LostHook, ...]:
    there = configured(site)
    lost = []
    for name in wanted:
        if not there.get(f"hook.loki-{name}.command") or there.get(f"hook.loki-{name}.event") != name:
            lost.append(LostHook(name, f"hook.loki-{name} is gone from git's configuration", displaced=True))
        elif there.get(f"hook.loki-{name}.enabled", "true").lower() in {"false", "no", "off", "0"}:
            lost.append(LostHook(name, f"hook.loki-{name}.enabled is off in git's configuration"))
    return tuple(lost)


def take_away_renamed(front: Path) -> None:
    """Take away ``<hook>.old``, as lefthook renames what it finds, where it is ours: left there it blocks lefthook."""
    renamed = front.with_name(f"{front.name}.old")
    if not renamed.is_symlink() and SHIM_ID.encode() in (content(renamed) or b""):
        renamed.unlink(missing_ok=True)
