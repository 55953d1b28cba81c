"""The files and settings that make git run hooks: where they are, and whose."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.domain.install.chain import legacy, owner_of
from loki_hooks.domain.install.values import HOOKS, Owner
from loki_hooks.errors import RefusedError
from loki_hooks.system.files import read_plain
from loki_hooks.system.git.git import Git

if TYPE_CHECKING:
    from loki_hooks.system.site import Site

MAX_CHAIN = 8


def hooks_folder(site: Site) -> Path:
    """Return the folder that git takes hooks from, ``core.hooksPath`` honoured. Raises ``RefusedError`` for none."""
    start = site.main or site.here
    told = Git(start, hooks=True).out("rev-parse", "--git-path", "hooks")  # with hooks: else we would be told /dev/null
    folder = Path(os.path.normpath(start / told))
    if folder.exists() and not folder.is_dir():
        raise RefusedError(
            f"hooks are turned off here: core.hooksPath is {folder}",
            "git config --unset core.hooksPath (--global, if it is set there)",
        )
    return folder


def hooks_path(site: Site, worktree: Path | None = None) -> tuple[str, str]:
    """Return ``core.hooksPath`` and the scope in which it is set; two empty texts when it is not.

    ``worktree``: where to ask, by default the main one.
    """
    told = Git(worktree or site.main or site.here, hooks=True).maybe(
        "config", "--show-scope", "--get", "core.hooksPath"
    )
    scope, _, path = (told or "").partition("\t")
    return path, scope


def chains(folder: Path) -> dict[str, tuple[Owner, ...]]:
    """Return who owns ``<hook>``, ``<hook>.legacy`` … for each hook that has any."""
    found = {}
    for name in HOOKS:
        owners: list[Owner] = []
        path = str(folder / name)
        while len(owners) < MAX_CHAIN and os.path.lexists(legacy(path, len(owners))):
            owners.append(owner_of(content(Path(legacy(path, len(owners)))) or b""))
        if owners:
            found[name] = tuple(owners)
    return found


def content(path: Path) -> bytes | None:
    """Return what is in the file, through a link too (a hook may be one), or None."""
    return read_plain(Path(os.path.realpath(path)))


def is_ours(path: Path) -> bool:
    """Return whether this is a hook file of ours that git or a framework would run."""
    return os.access(path, os.X_OK) and owner_of(content(path) or b"") is Owner.OURS


def hook_in_config(site: Site, name: str) -> bool:
    """Return whether git runs our hook from its configuration (git ≥ 2.54)."""
    return f"hook.loki-{name}.command" in configured(site)


def configured(site: Site) -> dict[str, str]:
    """Return ``hook.loki-*`` of the repository's configuration: key → value."""
    listed = Git(site.here, hooks=True).run("config", "--local", "-z", "--get-regexp", r"^hook\.loki-")
    pairs = (entry.partition("\n") for entry in listed.text.split("\0") if entry)
    return {key: value for key, _, value in pairs}
