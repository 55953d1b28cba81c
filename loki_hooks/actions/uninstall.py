"""`uninstall`: put back what `install` changed, byte for byte; leave what somebody changed since, and say so."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.assets import template_text
from loki_hooks.domain.install import Owner, legacy, owner_of
from loki_hooks.domain.status import ENDED, STANDING
from loki_hooks.errors import LokiError, RefusedError
from loki_hooks.system import trust
from loki_hooks.system.config import FILE
from loki_hooks.system.environment import unexclude
from loki_hooks.system.git import Git
from loki_hooks.system.hook_files import content
from loki_hooks.system.install_record import (
    Change,
    Configured,
    Image,
    Moved,
    Written,
    image_of,
    put,
    read_record,
)
from loki_hooks.system.precommit_config import NAMES, find_config, read_config
from loki_hooks.system.processes import is_alive
from loki_hooks.system.spawn_environment import forget, kept_streams
from loki_hooks.system.state_store import StateStore
from loki_hooks.system.trees import files_in, remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loki_hooks.system.site import Site

_KEPT_REFS = "refs/loki/trash/"
_OWN_LOGS = frozenset({"hooks.log"})
_DEEPEST = 3


@dataclass(frozen=True)
class Undone:
    """``done``: lines about what was put back or removed; ``left``: what was not, and why."""

    done: tuple[str, ...]
    left: tuple[str, ...]


def uninstall(site: Site) -> Undone:
    """Undo the installation here. Raises ``RefusedError`` while a session runs."""
    state = StateStore(site).read() if site.loki.is_dir() else None
    records = state.streams.values() if state is not None else ()
    running = sorted(record.name for record in records if is_alive(record.session) or is_alive(record.agent_process))
    if running:
        raise RefusedError(f"sessions are running: {', '.join(running)}", "end them with `loki-hooks stop NAME`")
    alive = any(record.status not in ENDED | STANDING for record in records)
    installed = site.private.is_dir()
    done: list[str] = []
    left: list[str] = []
    for change in reversed(read_record(site).changes):
        with _told(left):
            _undo(site, change, done, left)
    if installed:
        for stream in kept_streams(site):
            forget(site, stream)  # what is in memory, too
        if remove_tree(site.private):
            done.append(f"removed {site.private}")
        else:
            left.append(f"{site.private} cannot be removed as a whole: see what is left in it")
    _name_framework(site, left)
    _clear_loki(site, done, left)
    _clear_refs(site, alive, done, left)
    if not alive and unexclude(site.common):
        done.append(f"took our lines out of {site.common / 'info' / 'exclude'}")
    trust.revoke(site)
    return Undone(tuple(done), tuple(left))


@contextlib.contextmanager
def _told(left: list[str]) -> Iterator[None]:
    """One thing that cannot be put back is no reason to leave the others."""
    try:
        yield
    except (LokiError, OSError) as error:
        left.append(error.message if isinstance(error, LokiError) else str(error))


def _undo(site: Site, change: Change, done: list[str], left: list[str]) -> None:
    if isinstance(change, Configured):
        _unconfigure(site, change, done, left)
    elif isinstance(change, Moved):
        _move_back(change, done, left)
    else:
        _unwrite(change, done, left)


def _unconfigure(site: Site, change: Configured, done: list[str], left: list[str]) -> None:
    git = Git(site.here, hooks=True)
    now = tuple((git.maybe("config", "--local", "--get-all", change.key) or "").splitlines())
    if now == change.before:
        return
    if now != (change.after,):
        left.append(f"{change.key} was changed since: it stays in the git configuration")
        return
    git.out("config", "--local", "--unset-all", change.key)
    for value in change.before:
        git.out("config", "--local", "--add", change.key, value)
    section = change.key.rpartition(".")[0]
    if not git.ok("config", "--local", "--get-regexp", "^" + section.replace(".", r"\.") + r"\."):
        git.run("config", "--local", "--remove-section", section)
    done.append(f"unset {change.key}")


def _move_back(change: Moved, done: list[str], left: list[str]) -> None:
    """The hook that was here before, changed since or not, gets its place back, unless somebody else took that."""
    if os.path.lexists(change.source):
        if image_of(change.source) != change.image:
            left.append(f"{change.target} stays: {change.source} is somebody else's by now")
        return
    if os.path.lexists(change.target):
        change.target.rename(change.source)
    else:
        put(change.source, change.image)
    done.append(f"moved {change.target} back to {change.source}")


def _unwrite(change: Written, done: list[str], left: list[str]) -> None:
    path = change.path
    now = image_of(path)
    if now == change.before:
        return
    if path.name == FILE and change.before.absent and _is_tracked(path):
        left.append(f"{path} is committed: it stays")
        return
    if now.digest != change.after:
        _unwrite_changed(change, now, done, left)
        return
    put(path, change.before)
    for folder in change.made:
        with contextlib.suppress(OSError):
            folder.rmdir()
    done.append(f"removed {path}" if change.before.absent else f"put {path} back")
    if path.name in NAMES and _is_tracked(path):
        left.append(f"{path} is committed with loki-hooks in it: commit it as it is now")


def _unwrite_changed(change: Written, now: Image, done: list[str], left: list[str]) -> None:
    """Somebody changed the file since: take out only what is ours, if it can be told."""
    path = change.path
    if change.inserted and now.data is not None:
        data = now.data
        for piece in change.inserted:
            raw = piece.encode()
            if data.count(raw) == 1:
                data = data.replace(raw, b"")
            else:
                left.append(f"{path} was changed since: look for loki-hooks in it yourself")
                return
        put(path, Image(data, now.mode))
        done.append(f"took loki-hooks out of {path}, which was changed since")
        return
    for depth in range(1, _DEEPEST):  # another tool installed itself over ours, and moved ours aside
        below = Path(legacy(str(path), depth))
        if change.before.absent and image_of(below).digest == change.after:
            below.unlink()
            done.append(f"removed {below}")
            return
    if now.data is not None and owner_of(content(path) or b"") is Owner.OURS:
        put(path, change.before)
        done.append(f"removed {path}" if change.before.absent else f"put {path} back")
        return
    if now.absent:
        left.append(f"{path} was removed since: it stays so")
    else:
        left.append(f"{path} was changed since: it stays")


def _is_tracked(path: Path) -> bool:
    return Git(path.parent).ok("ls-files", "--error-unmatch", "--", path.name)


def _name_framework(site: Site, left: list[str]) -> None:
    """A configuration that names us as a remote repository's hooks was never ours to change."""
    base = site.main or site.here
    path = find_config(base)
    if path is None:
        return
    with contextlib.suppress(LokiError):
        if read_config(path, template_text("install/pre-commit-hook.yaml"), ()).remote:
            left.append(f"{path} names loki-hooks: take it out, else the framework turns it on again")


def _clear_loki(site: Site, done: list[str], left: list[str]) -> None:
    """Remove ``.loki/`` unless there is anything in it that somebody may miss."""
    loki = site.loki
    if not loki.is_dir() or loki.is_symlink():
        return
    worth = []
    if any(stream != "main" for stream in StateStore(site).read().streams):
        worth.append("streams")
    if _has_files(loki / "logs", _OWN_LOGS):
        worth.append("logs")
    worth += [name for name in ("archive", "queue") if _has_files(loki / name)]
    if (loki / "CONTINUITY.md").exists():
        worth.append("CONTINUITY.md")
    if worth:
        left.append(f"{loki} stays, for its {', '.join(worth)}: remove it when you need it no more")
        return
    if remove_tree(loki):
        done.append(f"removed {loki}")
    else:
        left.append(f"{loki} cannot be removed as a whole: see what is left in it")


def _has_files(folder: Path, but: frozenset[str] = frozenset()) -> bool:
    try:
        return any(path.name not in but for path in files_in(folder))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # what cannot be looked into may be worth something
        return True


def _clear_refs(site: Site, alive: bool, done: list[str], left: list[str]) -> None:
    """Remove our refs, but what pins removed work, and everything while there are streams."""
    git = Git(site.here)
    refs = git.refs("refs/loki")
    if alive and refs:
        left.append("refs/loki/* stay: there are streams")
        return
    gone = [ref for ref, oid in refs.items() if not ref.startswith(_KEPT_REFS) and git.delete_ref(ref, oid)]
    if gone:
        done.append(f"removed {len(gone)} refs below refs/loki")
    if any(ref.startswith(_KEPT_REFS) for ref in refs):
        left.append(f"{_KEPT_REFS}* stay: they pin work that was removed")
