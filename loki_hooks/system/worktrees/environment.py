"""The environment of a worktree: copied files, the project's own set-up, and the variables that commands get.

Copied files are recorded with their content's hash, so that clean-up can tell them from somebody's own work. They are
kept out of git before they are there: by the repository's ignore rules, else by a line in ``info/exclude`` (one file for
all worktrees: the least that will do, each line for one path; a file of one's own per worktree would need
``extensions.worktreeConfig``, which other tools refuse, and would hide the user's ``core.excludesFile``). What can not
be kept out (a ``.gitignore`` that says ``!.env`` has the last word) is not copied.
A virtual environment lives in the worktree itself: what is installed in another worktree must not be what
runs here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.domain.gates.results import command_text
from loki_hooks.domain.worktrees.packages import packages
from loki_hooks.domain.worktrees.setup_plan import (
    BUNDLE,
    READ,
    VENV,
    Setup,
    SetupStep,
    plan_auto,
    plan_packages,
    together,
    without_lock,
)
from loki_hooks.errors import LokiError
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.git.git import Git, split_z
from loki_hooks.system.git.submodules import may_have_submodules, pinned
from loki_hooks.system.site import LOKI, ensure_loki
from loki_hooks.system.worktrees.clone import clone_folder
from loki_hooks.system.worktrees.variables import base_python, present_names

if TYPE_CHECKING:
    from loki_hooks.domain.config import Environment


def plan_setup(worktree: Path, environment: Environment) -> Setup | None:
    """Return what `environment.setup` means in this worktree, or None when nothing is to be run."""
    setup = environment.setup
    if isinstance(setup, bool):
        return None
    present = present_names(worktree)
    if setup != "auto":
        argv = ("sh", "-c", setup) if isinstance(setup, str) else setup
        return Setup((SetupStep(argv),), command_text(setup), tuple(sorted(present)))
    plan = plan_auto(present, _texts(worktree, present), base_python())
    below = {folder: present_names(worktree / folder) for folder in packages_in(worktree)}
    seen = {folder: (names, _texts(worktree / folder, names)) for folder, names in below.items()}
    return together(plan, plan_packages(seen, base_python(), present if plan else ()))


def _texts(folder: Path, present: Collection[str]) -> dict[str, str]:
    return {name: (read_plain(folder / name) or b"").decode("utf-8", "replace") for name in READ if name in present}


def packages_in(worktree: Path) -> tuple[str, ...]:
    """Return the folders of the packages below a worktree's root, as git tracks them there; links lead to none."""
    tracked = Git(worktree).maybe("ls-files", "-z") or ""
    return tuple(f for f in packages(split_z(tracked)) if Path(os.path.realpath(worktree / f)) == worktree / f)


def not_set_up(worktree: Path, environment: Environment) -> str:
    """Return '' or what set-up leaves out here for want of a lock file."""
    if environment.setup != "auto":
        return ""
    package = (read_plain(worktree / "package.json") or b"").decode("utf-8", "replace")
    return without_lock(present_names(worktree), package)


def setup_key(setup: Setup, worktree: Path) -> str:
    """Return the hash over the commands, their input files and the submodules' commits: equal means that nothing has to
    run again."""
    digest = hashlib.sha256(repr(setup.commands).encode())
    digest.update("\0".join(step.folder for step in setup.steps if step.folder).encode("utf-8", "surrogateescape"))
    for name in setup.inputs:
        digest.update(name.encode() + b"\0" + (read_plain(worktree / name) or b"") + b"\0")
    if may_have_submodules(worktree):
        digest.update(repr(sorted(pinned(Git(worktree)).items())).encode())
    return digest.hexdigest()


def warm_up(main: Path, worktree: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Clone ignored folders of the main worktree that spare a tool work, where blocks can be shared; return which."""
    git = Git(worktree)
    ensure_loki(worktree / LOKI)
    holding = worktree / LOKI / f".clone-{os.getpid()}"
    return tuple(
        name
        for name in names
        if (main / name).is_dir()
        and not (main / name).is_symlink()
        and git.ok("check-ignore", "-q", "--", f"{name}/")
        and not git.maybe("ls-files", "--", name)
        and clone_folder(main / name, worktree / name, holding)
    )


_MADE = (VENV, BUNDLE, "node_modules")


def hide_made(worktree: Path, within: str = "") -> None:
    """Make git ignore what set-up installs, where the project forgot to: as newer ``venv`` and uv do by themselves.

    ``within``: the folder of the package that was installed.
    """
    for made in _MADE:
        name = f"{within}/{made}" if within else made
        folder = worktree / name
        if not folder.is_dir() or folder.is_symlink() or (folder / ".gitignore").exists():
            continue
        git = Git(worktree)
        if made == VENV or not (git.ok("check-ignore", "-q", "--", f"{name}/") or git.maybe("ls-files", "--", name)):
            write_atomic(folder / ".gitignore", "*\n")


def is_missing(argv: tuple[str, ...], env: Mapping[str, str], cwd: Path) -> bool:
    """Whether the program of ``argv`` cannot be found, on PATH or, named by its path, from ``cwd``."""
    return not (cwd / argv[0]).exists() if "/" in argv[0] else shutil.which(argv[0], path=env.get("PATH")) is None


def require_program(argv: tuple[str, ...], env: Mapping[str, str], what: str) -> None:
    """Raise ``LokiError`` unless the program of ``argv`` can be found."""
    if "/" not in argv[0] and shutil.which(argv[0], path=env.get("PATH")) is None:
        raise LokiError(f"{what} needs {argv[0]}, which is not on PATH", f"install {argv[0]}")
