"""The environment of a worktree: copied files, the project's own set-up, and the variables that commands get.

Copied files are recorded with their content's hash, so that clean-up can tell them from somebody's own work.
A virtual environment lives in the worktree itself: what is installed in another worktree must not be what
runs here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from loki_hooks.domain.config import Environment
from loki_hooks.domain.gates import command_text
from loki_hooks.domain.names import fill
from loki_hooks.errors import LokiError
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.git import Git, split_z
from loki_hooks.system.git_env import of_framework
from loki_hooks.system.processes import scrubbed

VENV = ".venv"


def variables(worktree: Path, *, main: Path, stream: str, branch: str, environment: Environment,
              values: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment for set-up, agent or gate in ``worktree``.

    The worktree's own environment leads PATH; the caller's (an activated one, a hook framework's) goes.
    Without an own one a Python project's sources lead PYTHONPATH, else an editable install of another
    worktree would be what is imported.
    """
    env = scrubbed()
    foreign = env.pop("VIRTUAL_ENV", "")
    framework = any(of_framework(name) for name in env)
    for name in [n for n in env if of_framework(n)] + ["PYTHONPATH", "PYTHONHOME"]:
        env.pop(name, None)
    path = [p for p in env.get("PATH", os.defpath).split(os.pathsep) if p]
    if framework and foreign:
        path = [p for p in path if not p.startswith(foreign)]
    own = [str(d) for d in (worktree / VENV / "bin", worktree / "node_modules" / ".bin") if d.is_dir()]
    env["PATH"] = os.pathsep.join([*own, *path])
    if (worktree / VENV / "bin").is_dir():
        env["VIRTUAL_ENV"] = str(worktree / VENV)
    elif is_python(worktree):
        env["PYTHONPATH"] = os.pathsep.join(str(d) for d in (worktree / "src", worktree) if d.is_dir())
    env.update(
        LOKI_STREAM=stream, LOKI_BRANCH=branch, LOKI_WORKTREE=str(worktree), LOKI_MAIN=str(main),
        **{key: fill(template, values) for key, template in environment.set.items()},
    )
    return env


def is_python(worktree: Path) -> bool:
    return any((worktree / name).is_file() for name in ("pyproject.toml", "setup.py", "setup.cfg", "pytest.ini"))


def copy_files(main: Path, worktree: Path, patterns: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Copy untracked files of the main worktree that match, mode kept; return (path, sha256) of each copied one.

    Only regular files that git does not track there, and that are not in the worktree yet, are copied;
    nothing is followed out of either folder.
    """
    copied = []
    tracked = set(split_z(Git(main).out("ls-files", "-z", "--", *[f":(glob){p}" for p in patterns]))) if patterns else set()
    for source in sorted({found for pattern in patterns for found in main.glob(pattern)}):
        name = source.relative_to(main).as_posix()
        target = worktree / name
        if name in tracked or source.is_symlink() or not source.is_file() or os.path.lexists(target):
            continue
        data = read_plain(source)
        if data is None or _leads_out(target, worktree):
            continue
        write_atomic(target, data, mode=0o600)
        target.chmod(source.stat().st_mode & 0o777)
        copied.append((name, hashlib.sha256(data).hexdigest()))
    return tuple(copied)


def _leads_out(path: Path, root: Path) -> bool:
    """Whether a folder between ``root`` and ``path`` is a symbolic link."""
    return any(parent.is_symlink() for parent in path.parents if parent != root and parent.is_relative_to(root))


def exclude(worktree_git: Git, common: Path, names: tuple[str, ...]) -> None:
    """Keep copied files out of git also where the repository's ignore rules do not.

    ``info/exclude`` is one file for all worktrees; a line is added only for a name that git would show.
    """
    shown = [n for n in names if not worktree_git.ok("check-ignore", "-q", "--no-index", "--", n)]
    if not shown:
        return
    path = common / "info" / "exclude"
    text = path.read_text(encoding="utf-8", errors="surrogateescape") if path.is_file() else ""
    have = set(text.splitlines())
    lines = [f"/{n}" for n in shown if f"/{n}" not in have]
    if lines:
        write_atomic(path, text + ("" if text.endswith("\n") or not text else "\n") + "\n".join(lines) + "\n")


@dataclass(frozen=True)
class Setup:
    """What to run to make the project usable: argument vectors, one after the other. ``why`` names what was seen."""

    commands: tuple[tuple[str, ...], ...]
    why: str
    inputs: tuple[str, ...] = ()
    """The files whose change makes it necessary to run again."""

    def key(self, worktree: Path) -> str:
        """Return the hash over the commands and their input files: equal means that nothing has to run again."""
        digest = hashlib.sha256(repr(self.commands).encode())
        for name in self.inputs:
            digest.update(name.encode() + b"\0" + (read_plain(worktree / name) or b"") + b"\0")
        return digest.hexdigest()


def plan_setup(worktree: Path, environment: Environment) -> Setup | None:
    """Return what `environment.setup` means in this worktree, or None when nothing is to be run.

    ``"auto"`` goes by lock file: the ecosystem's own frozen install.
    """
    setup = environment.setup
    if isinstance(setup, bool):
        return None
    if setup != "auto":
        argv = ("sh", "-c", setup) if isinstance(setup, str) else setup
        return Setup((argv,), command_text(setup), _existing(worktree, _ALL_INPUTS))
    for lock, commands in _BY_LOCK:
        if (worktree / lock).is_file():
            return Setup(commands, lock, (lock,))
    return _pip(worktree)


_BY_LOCK: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    ("uv.lock", (("uv", "sync", "--frozen"),)),
    ("poetry.lock", (("poetry", "install", "--no-interaction"),)),
    ("pnpm-lock.yaml", (("pnpm", "install", "--frozen-lockfile"),)),
    ("yarn.lock", (("yarn", "install", "--frozen-lockfile"),)),
    ("package-lock.json", (("npm", "ci", "--no-audit", "--no-fund"),)),
    ("Cargo.lock", (("cargo", "fetch", "--locked"),)),
    ("go.sum", (("go", "mod", "download"),)),
    ("Gemfile.lock", (("bundle", "install"),)),
)
_REQUIREMENTS = (
    "requirements.txt", "requirements-dev.txt", "requirements-test.txt", "requirements_dev.txt", "dev-requirements.txt",
    "test-requirements.txt", "requirements/dev.txt", "requirements/tests.txt", "requirements/test.txt",
)
_PIP_INPUTS = ("pyproject.toml", "setup.py", "setup.cfg", *_REQUIREMENTS)
_ALL_INPUTS = (*(lock for lock, _ in _BY_LOCK), *_PIP_INPUTS)
_DEV_NAMES = ("dev", "test", "tests", "testing")


def _existing(worktree: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if (worktree / name).is_file())


def _pip(worktree: Path) -> Setup | None:
    """A virtual environment with the project installed editable and what its tests need."""
    inputs = _existing(worktree, _PIP_INPUTS)
    project: dict[str, object] = {}
    if "pyproject.toml" in inputs:
        try:
            project = tomllib.loads((worktree / "pyproject.toml").read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            project = {}
    targets: list[str] = []
    if "setup.py" in inputs or "project" in project or "build-system" in project:
        table = project.get("project")
        extras = table.get("optional-dependencies") if isinstance(table, dict) else None
        wanted = [n for n in _DEV_NAMES if isinstance(extras, dict) and n in extras]
        targets += ["-e", f".[{','.join(wanted)}]" if wanted else "."]
    requirements = [name for name in inputs if name in _REQUIREMENTS]
    for name in requirements:
        targets += ["-r", name]
    groups = project.get("dependency-groups")
    for name in _DEV_NAMES:
        group = groups.get(name) if isinstance(groups, dict) else None
        targets += [entry for entry in group if isinstance(entry, str)] if isinstance(group, list) else []
    if not targets:
        return None
    python = str(Path(VENV) / "bin" / "python")
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *targets)
    return Setup(((base_python(), "-m", "venv", VENV), pip), ", ".join(inputs), inputs)


def base_python() -> str:
    """Return the interpreter that ours was made from: a hook framework's environment may vanish."""
    base = getattr(sys, "_base_executable", sys.executable)
    return base if Path(base).exists() else (shutil.which("python3") or sys.executable)


def hide_venv(worktree: Path) -> None:
    """Make git ignore the virtual environment, as newer ``venv`` and uv do by themselves."""
    ignore = worktree / VENV / ".gitignore"
    if (worktree / VENV).is_dir() and not ignore.exists():
        write_atomic(ignore, "*\n")


def require_program(argv: tuple[str, ...], env: Mapping[str, str], what: str) -> None:
    """Raise ``LokiError`` unless the program of ``argv`` can be found."""
    if "/" not in argv[0] and shutil.which(argv[0], path=env.get("PATH")) is None:
        raise LokiError(f"{what} needs {argv[0]}, which is not on PATH", f"install {argv[0]}")
