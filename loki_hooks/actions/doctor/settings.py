"""Settings of the repository that break it, or us."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.domain.install.diagnosis import Cure, Finding, Repair
from loki_hooks.system.git.git import Git, split_z

if TYPE_CHECKING:
    from loki_hooks.actions.context import Context
    from loki_hooks.system.site import Site


# Settings --------------------------------------------------------------------------------------------------


def check_settings(context: Context) -> list[Finding]:
    """``core.bare`` and ``core.worktree`` as a leaked GIT_DIR leaves them (a test's `git init` inside a hook)."""
    site = context.site
    config = site.common / "config"
    found = []
    if bare_is_damage(site):
        found.append(
            Finding(
                "repository",
                False,
                "core.bare was set in a repository with a work tree",
                f"{config} says bare, but {site.common.parent} has the files of {site.common / 'index'}: "
                "some program ran `git init` with the GIT_DIR that git exports into hooks",
                "git config core.bare false",
                Repair(Cure.UNSET_BARE, str(config)),
            )
        )
    elsewhere = worktree_is_damage(site)
    if elsewhere:
        found.append(
            Finding(
                "repository",
                False,
                f"core.worktree leads to {elsewhere}",
                f"{config} says so, but the files of {site.common / 'index'} are in {site.common.parent}",
                "git config --unset core.worktree",
                Repair(Cure.UNSET_WORKTREE, str(config), elsewhere),
            )
        )
    return found or [
        Finding(
            "repository", True, "no leaked GIT_DIR has changed the settings", f"core.bare and core.worktree in {config}"
        )
    ]


def bare_is_damage(site: Site) -> bool:
    """A bare ``.git`` whose index has files that stand in the main worktree: nobody makes that on purpose."""
    return _setting(site, "core.bare") == "true" and site.main is not None and _has_files(site, site.main)


def worktree_is_damage(site: Site) -> str:
    """Return where ``core.worktree`` leads when the index's files are not there but beside the ``.git``; else ''."""
    value = _setting(site, "core.worktree")
    if not value or site.common.name != ".git":
        return ""
    there = Path(os.path.realpath(site.common / value))
    if there == site.common.parent or _has_files(site, there) or not _has_files(site, site.common.parent):
        return ""
    return value


def _setting(site: Site, key: str) -> str:
    return Git(site.common).maybe("config", "--file", str(site.common / "config"), "--get", key) or ""


def _has_files(site: Site, folder: Path) -> bool:
    if not folder.is_dir() or not (site.common / "index").is_file():
        return False
    told = Git(folder).run(f"--git-dir={site.common}", f"--work-tree={folder}", "ls-files", "-z")
    return any(os.path.lexists(folder / name) for name in split_z(told.text))
