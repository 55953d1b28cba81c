"""The repairs of `doctor --fix`. Each looks again at what makes it safe, at the moment it is made; nothing is deleted
that could be missed: locks and half-made registrations are moved into ``<common git dir>/loki/aside/``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.actions.doctor.hooks import copy_scripts
from loki_hooks.actions.doctor.refs import broken_refs, unreadable_results
from loki_hooks.actions.doctor.settings import bare_is_damage, worktree_is_damage
from loki_hooks.domain.install.chain import owner_of
from loki_hooks.domain.install.diagnosis import Cure, LockOwner, Repair, owner_of_lock
from loki_hooks.domain.install.values import Owner
from loki_hooks.domain.refs import GATES
from loki_hooks.errors import LokiError
from loki_hooks.system.config.trust import trust_file
from loki_hooks.system.files import read_plain
from loki_hooks.system.git.git import Git, list_worktrees
from loki_hooks.system.git.locks import git_at_work, look_for_owner, places_of
from loki_hooks.system.git.patches import known_blobs
from loki_hooks.system.hooks.files import content
from loki_hooks.system.json import parse_json
from loki_hooks.system.locks import hold
from loki_hooks.system.store.state import StateStore
from loki_hooks.system.worktrees.registrations import moved_to, reconnect, set_aside
from loki_hooks.system.worktrees.registry import lock_is_dead, unlock_if

if TYPE_CHECKING:
    from loki_hooks.system.site import Site


def mend(site: Site, repair: Repair) -> str:
    """Make the repair and return the evidence that it was safe. Raises ``LokiError`` when it is not any more."""
    make: dict[Cure, Callable[[Site, Repair], str]] = {
        Cure.COPY_SCRIPTS: lambda where, _: copy_scripts(where),
        Cure.MAKE_EXECUTABLE: _make_executable,
        Cure.UNSET_BARE: _unset_bare,
        Cure.UNSET_WORKTREE: _unset_worktree,
        Cure.MOVE_LOCK_ASIDE: _move_lock_aside,
        Cure.MOVE_ENTRY_ASIDE: _move_entry_aside,
        Cure.UNLOCK_WORKTREE: _unlock,
        Cure.RECONNECT_WORKTREE: _reconnect,
        Cure.SET_STATE_ASIDE: _set_state_aside,
        Cure.DELETE_RESULT: _delete_result,
        Cure.MAKE_LOKI: _make_loki,
        Cure.MAKE_PRIVATE: _make_private,
    }
    return make[repair.cure](site, repair)


def _still(true: bool, what: str) -> None:
    if not true:
        raise LokiError(f"it changed meanwhile: {what}")


def _make_executable(site: Site, repair: Repair) -> str:
    path = Path(repair.target)
    ours = path.is_relative_to(site.private / "hooks") or owner_of(content(path) or b"") is Owner.OURS
    _still(ours and not path.is_symlink(), "it is not our file")
    path.chmod(path.stat().st_mode | 0o111)
    return "it is our own file"


def _unset_bare(site: Site, repair: Repair) -> str:
    _still(bare_is_damage(site), "core.bare is not set, or the files are gone")
    Git(site.common).out("config", "--file", repair.target, "core.bare", "false")
    return "the files of its index stand beside it"


def _unset_worktree(site: Site, repair: Repair) -> str:
    _still(worktree_is_damage(site) == repair.was, "core.worktree is another")
    Git(site.common).out("config", "--file", repair.target, "--unset-all", "core.worktree")
    return f"it was {repair.was}, where no file of the index is"


def _move_lock_aside(site: Site, repair: Repair) -> str:
    """While the file is there no other git can make it: an owner would have to be alive all along."""
    path = Path(repair.target)
    owner, evidence = owner_of_lock(look_for_owner(path, places_of(site)))
    seen = path.lstat()
    _still(f"{seen.st_dev}:{seen.st_ino}" == repair.was, "it is another lock")
    _still(owner is LockOwner.DEAD, evidence)
    return f"{evidence}; kept as {set_aside(site, path)}"


def _move_entry_aside(site: Site, repair: Repair) -> str:
    with hold(site.private / "worktrees.lock", timeout=10):
        at_work = git_at_work(site)
        _still(not at_work, f"git is at work: {', '.join(at_work)}")
        _still(not (Path(repair.target) / "index").exists(), "it has an index now")
        return f"no live git process; kept as {set_aside(site, Path(repair.target))}"


def _unlock(site: Site, repair: Repair) -> str:
    git = Git(site.root)
    reason = next((entry.locked for entry in list_worktrees(git) if str(entry.path) == repair.target), None)
    _still(reason == repair.was, "its lock is another")
    if reason == "initializing":
        at_work = git_at_work(site)
        _still(not at_work, f"git is at work: {', '.join(at_work)}")
    else:
        _still(lock_is_dead(reason or ""), "its owner lives")
    _still(unlock_if(site, Path(repair.target), lambda there: there == repair.was), "its lock is another")
    return "its owner is dead"


def _reconnect(site: Site, repair: Repair) -> str:
    folder, admin = Path(repair.target), Path(repair.was)
    with hold(site.private / "worktrees.lock", timeout=10):
        old = Path(
            os.path.normpath(admin / (read_plain(admin / "gitdir") or b"").decode("utf-8", "surrogateescape").strip())
        )
        _still(moved_to(admin, old.parent) == folder, "it points elsewhere")
        reconnect(admin, folder)
    return f"{repair.target}/.git points at {repair.was}"


def _set_state_aside(site: Site, repair: Repair) -> str:  # noqa: ARG001  the store knows its file
    store = StateStore(site)
    _still(not isinstance(parse_json(read_plain(store.path)), dict), "it can be read")
    store.update(lambda state: state)
    return "the unreadable one is kept beside it"


def _delete_result(site: Site, repair: Repair) -> str:
    git = Git(site.root)
    _still(repair.target.startswith(GATES), "it is no gate result")
    if not repair.was:
        _still(repair.target in set(broken_refs(site.common)), "it can be read")
        return f"kept as {set_aside(site, site.common / repair.target)}"
    known = repair.was in known_blobs(git, {repair.was})
    _still(not known or bool(unreadable_results(git, [(repair.was, repair.target)])), "it can be read")
    _still(git.delete_ref(repair.target, repair.was), "it is another object")
    return "a result that cannot be read lets nothing through"


def _make_loki(site: Site, repair: Repair) -> str:  # noqa: ARG001  the site knows its folder
    site.ensure()
    return "only what was missing was made"


def _make_private(site: Site, repair: Repair) -> str:  # noqa: ARG001  it is the user's, not the repository's
    path = Path(repair.target)
    _still(path == trust_file() and not path.is_symlink(), "it is another file")
    path.chmod(0o600)
    return "it is our own file"
