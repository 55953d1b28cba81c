"""`uninstall`: put back what `install` changed, byte for byte; leave what somebody changed since, and say so."""

from __future__ import annotations

import contextlib
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.actions.gates.worktrees import MARK
from loki_hooks.assets import template_text
from loki_hooks.domain.install.chain import legacy, owner_of
from loki_hooks.domain.install.own_files import STATE_FILE
from loki_hooks.domain.install.values import Owner
from loki_hooks.domain.refs import PAST, SAFE, TRASH
from loki_hooks.domain.streams.status import ENDED, STANDING
from loki_hooks.errors import LokiError, RefusedError
from loki_hooks.system.config import trust
from loki_hooks.system.config.load import FILE
from loki_hooks.system.git.git import Git, list_worktrees
from loki_hooks.system.git.operations import git_dir_of
from loki_hooks.system.hooks.files import content
from loki_hooks.system.hooks.framework import NAMES, find_config, read_config
from loki_hooks.system.hooks.record import (
    Change,
    Configured,
    Image,
    MovedFile,
    Written,
    image_of,
    keep_edited,
    put,
    read_record,
)
from loki_hooks.system.locks import hold_pass
from loki_hooks.system.processes.alive import is_alive
from loki_hooks.system.store.loki_folder import Contents, contents, remove_machinery
from loki_hooks.system.store.spawn_environment import forget, kept_streams
from loki_hooks.system.store.state import StateStore
from loki_hooks.system.trees import remove_tree
from loki_hooks.system.worktrees.copies import unexclude

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from loki_hooks.domain.streams.record import StreamRecord
    from loki_hooks.system.site import Site

_PINS = (TRASH, PAST, SAFE)
_DEEPEST = 3


@dataclass(frozen=True)
class Undone:
    """``done``: lines about what was put back or removed; ``left``: what was not, and why."""

    done: tuple[str, ...]
    left: tuple[str, ...]


def uninstall(site: Site) -> Undone:
    """Undo the installation here. Raises ``RefusedError`` while a session, a gate or a pass is under way."""
    if not site.private.is_dir():
        return _undo_all(site)
    with hold_pass(site):
        _refuse_while_busy(site)
        return _undo_all(site)


def _refuse_while_busy(site: Site) -> None:
    from loki_hooks.actions.context import Context
    from loki_hooks.actions.gates.runners import under_way

    running = sorted(
        record.name
        for record in _records(site)
        if any(is_alive(process) for process in (record.session, record.agent_process, record.claim))
    )
    if running:
        raise RefusedError(f"sessions are running: {', '.join(running)}", "end them with `loki-hooks stop NAME`")
    if under_way(Context(site)):
        raise RefusedError("tests are running", "wait until they have ended (`loki-hooks run` does)")


def _records(site: Site) -> tuple[StreamRecord, ...]:
    return tuple(StateStore(site).read().streams.values()) if site.loki.is_dir() else ()


def _undo_all(site: Site) -> Undone:
    records = _records(site)
    alive = any(record.status not in ENDED | STANDING for record in records)
    installed = site.private.is_dir()
    there = contents(site) if site.loki.is_dir() and not site.loki.is_symlink() else None
    marked = _gate_worktrees(site)
    done: list[str] = []
    left: list[str] = []
    for change in reversed(read_record(site).changes):
        with _told(left):
            _undo(site, change, done, left)
    if installed:
        site.enabled_marker.unlink(missing_ok=True)  # first: whoever waits for us to end must see that it is off
        for stream in kept_streams(site):
            forget(site, stream)  # what is in memory, too
        if remove_tree(site.private):
            done.append(f"removed {site.private}")
        else:
            left.append(f"{site.private} cannot be removed as a whole: see what is left in it")
    _name_framework(site, left)
    if there is not None:
        _clear_loki(site, there, done, left)
    _name_worktrees(site, records, marked, left)
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
    elif isinstance(change, MovedFile):
        _move_back(change, done, left)
    else:
        _unwrite(site, change, done, left)


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


def _move_back(change: MovedFile, done: list[str], left: list[str]) -> None:
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


def _unwrite(site: Site, change: Written, done: list[str], left: list[str]) -> None:
    path = change.path
    now = image_of(path)
    if now == change.before:
        return
    if path.name == FILE and change.before.absent and _is_tracked(site, path):
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
    if path.name in NAMES:
        left.extend(_still_in_git(site, change))


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
        aside = keep_edited(path, change.after)
        if aside is not None:
            left.append(f"{path} was changed since: it is kept as {aside}, which git does not run")
        put(path, change.before)
        done.append(f"removed {path}" if change.before.absent else f"put {path} back")
        return
    if now.absent:
        left.append(f"{path} was removed since: it stays so")
    else:
        left.append(f"{path} was changed since: it stays")


def _still_in_git(site: Site, change: Written) -> list[str]:
    """Return what to say where the last commit, or what is staged, has the file as we had written it."""
    path = change.path
    top = site.main or site.here  # a folder below it has no .git, and git is never let up
    if not path.is_relative_to(top):
        return []
    for revision, how, todo in (("HEAD", "committed", "commit"), ("", "staged", "stage")):
        done = Git(top).run("cat-file", "blob", f"{revision}:{path.relative_to(top)}")
        pieces = [piece.encode() for piece in change.inserted]
        whole = Image(done.stdout, change.before.mode or 0o644)
        if done.returncode == 0 and (whole.digest == change.after or any(piece in done.stdout for piece in pieces)):
            return [f"{path} is {how} with loki-hooks in it: {todo} it as it is now"]
    return []


def _is_tracked(site: Site, path: Path) -> bool:
    top = site.main or site.here  # a folder below it has no .git, and git is never let up
    return Git(top).ok("--literal-pathspecs", "ls-files", "--error-unmatch", "--", str(path))


def _name_framework(site: Site, left: list[str]) -> None:
    """A configuration that names us as a remote repository's hooks was never ours to change."""
    base = site.main or site.here
    path = find_config(base)
    if path is None:
        return
    with contextlib.suppress(LokiError):
        if read_config(path, template_text("install/pre-commit-hook.yaml"), ()).remote:
            left.append(f"{path} names loki-hooks: take it out, else the framework turns it on again")


def _clear_loki(site: Site, there: Contents, done: list[str], left: list[str]) -> None:
    """Take our files out of ``.loki/``, unless somebody may miss any; what others have there is theirs."""
    others = f"has {', '.join(_tops(there.others))}: there before, or not made by loki-hooks" if there.others else ""
    if there.keepsakes:
        worth = ["streams" if name == STATE_FILE else name.partition("/")[0] for name in there.keepsakes]
        left.append(f"{site.loki} stays, for its {', '.join(dict.fromkeys(worth))}: remove it when you need it no more")
        left.extend([f"{site.loki} also {others}"] if others else [])
        return
    if remove_machinery(site, there):
        done.append(f"removed {site.loki}")
        return
    done.extend([f"took our files out of {site.loki}"] if there.machinery else [])
    left.extend([f"{site.loki} stays, it {others}"] if others else [])


def _tops(names: Iterable[str]) -> list[str]:
    """Return what to name of many paths: two levels are enough to find them, five are enough to read."""
    tops = list(dict.fromkeys("/".join(name.split("/")[:2]) for name in names))
    return [*tops[:5], *(["…"] if len(tops) > 5 else [])]


def _gate_worktrees(site: Site) -> frozenset[Path]:
    """Return the worktrees that gates ran in: each has our mark in its git dir."""
    trees = list_worktrees(Git(site.here))
    return frozenset(tree.path for tree in trees if (git_dir_of(tree.path) / MARK).is_file())


def _name_worktrees(site: Site, records: Iterable[StreamRecord], marked: Collection[Path], left: list[str]) -> None:
    """Name each worktree of ours that is still there, and each branch of a standing stream, with what removes it."""
    git = Git(site.here)
    ours = {record.path: record for record in records if record.kind != "main"}
    named = set()
    for tree in list_worktrees(git)[1:]:
        record = ours.get(str(tree.path))
        if record is None and tree.path not in marked:
            continue
        branch = tree.branch or (record.branch if record is not None else "")
        named.add(branch)
        todo = f"git worktree remove {shlex.quote(str(tree.path))}"
        todo += f" && git branch -d {shlex.quote(branch)}" if branch else ""
        left.append(f"the worktree {tree.path} of {record.name if record is not None else 'a gate'}: `{todo}`")
    rest = [r.branch for r in ours.values() if r.standing and r.branch not in named]
    left.extend(f"the branch {b}: `git branch -d {shlex.quote(b)}`" for b in rest if git.commit_id(f"refs/heads/{b}"))


def _clear_refs(site: Site, alive: bool, done: list[str], left: list[str]) -> None:
    """Remove our refs, but what pins work that is nowhere else, and everything while there are streams."""
    git = Git(site.here)
    refs = git.refs("refs/loki")
    pins = {prefix for prefix in _PINS for ref in refs if ref.startswith(prefix)}
    if alive and refs:
        left.append(f"refs/loki/* stay, for the streams: {_removing('refs/loki')}")
        return
    gone = [ref for ref, oid in refs.items() if not ref.startswith(_PINS) and git.delete_ref(ref, oid)]
    if gone:
        done.append(f"removed {len(gone)} refs below refs/loki")
    left.extend(f"{prefix}* stay, they pin work that was removed: {_removing(prefix)}" for prefix in sorted(pins))


def _removing(prefix: str) -> str:
    return f"`git for-each-ref --format='delete %(refname)' {prefix.rstrip('/')} | git update-ref --stdin`"
