"""The variables that a worktree's processes run with."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.domain.names import fill
from loki_hooks.domain.worktrees.setup_plan import LOOKED_FOR, VENV, places
from loki_hooks.system.git_env import of_framework
from loki_hooks.system.processes.ancestry import WORK_MARK
from loki_hooks.system.processes.run import scrubbed
from loki_hooks.system.store.leases import port_variables

if TYPE_CHECKING:
    from loki_hooks.domain.config import Environment


def variables(
    worktree: Path,
    *,
    main: Path,
    stream: str,
    branch: str,
    environment: Environment,
    values: Mapping[str, str],
    ports: tuple[int, ...] = (),
) -> dict[str, str]:
    """Return the whole environment for set-up, agent or gate in ``worktree``, which has these ``ports`` leased.

    LOKI_TRUST is the user's word, not that of what runs in here: it goes (`trust.word_for_sessions` lends it).

    The worktree's own environment leads PATH; the caller's (an activated one, a hook framework's) goes.
    Without an own one a Python project's sources lead PYTHONPATH, else an editable install of another
    worktree would be what is imported.
    """
    env = scrubbed()
    for name in ("LOKI_TRUST", WORK_MARK):
        env.pop(name, None)
    foreign = env.pop("VIRTUAL_ENV", "")
    framework = any(of_framework(name) for name in env)
    for name in [n for n in env if of_framework(n)] + ["PYTHONPATH", "PYTHONHOME"]:
        env.pop(name, None)
    path = [p for p in env.get("PATH", os.defpath).split(os.pathsep) if p]
    path = [p for p in path if not p.endswith("/git-core")]  # git puts its own programs first for its hooks
    if framework and foreign:
        path = [p for p in path if not p.startswith(foreign)]
    own = [str(d) for d in (worktree / VENV / "bin", worktree / "node_modules" / ".bin") if d.is_dir()]
    env["PATH"] = os.pathsep.join([*own, *path])
    if (worktree / VENV / "bin").is_dir():
        env["VIRTUAL_ENV"] = str(worktree / VENV)
    elif is_python(worktree):
        env["PYTHONPATH"] = os.pathsep.join(str(d) for d in (worktree / "src", worktree) if d.is_dir())
    for key, value in places(str(worktree), present_names(worktree)).items():
        env.pop(key, None)
        env |= {key: value} if value else {}
    env |= port_variables(ports)
    env.update(
        LOKI_STREAM=stream,
        LOKI_BRANCH=branch,
        LOKI_WORKTREE=str(worktree),
        LOKI_MAIN=str(main),
        **{key: fill(template, values) for key, template in environment.set.items()},
    )
    return env


def places_in(folder: Path) -> dict[str, str]:
    """Return the variables that keep a package's installed dependencies in its own folder."""
    return {key: value for key, value in places(str(folder), present_names(folder)).items() if value}


def is_python(worktree: Path) -> bool:
    return any((worktree / name).is_file() for name in ("pyproject.toml", "setup.py", "setup.cfg", "pytest.ini"))


def present_names(worktree: Path) -> frozenset[str]:
    return frozenset(name for name in LOOKED_FOR if (worktree / name).is_file())


def base_python() -> str:
    """Return the interpreter that ours was made from: a hook framework's environment may vanish."""
    base = getattr(sys, "_base_executable", sys.executable)
    return base if Path(base).exists() else (shutil.which("python3") or sys.executable)
