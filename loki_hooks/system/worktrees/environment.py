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

import contextlib
import hashlib
import os
import re
import shutil
import stat
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.domain.gates.results import command_text
from loki_hooks.domain.names import fill
from loki_hooks.domain.worktrees.setup_plan import BUNDLE, LOOKED_FOR, READ, VENV, Setup, Step, places, plan_auto
from loki_hooks.errors import BadInputError, LokiError
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.git.git import Git
from loki_hooks.system.git.submodules import may_have_submodules, pinned
from loki_hooks.system.git_env import of_framework
from loki_hooks.system.locks import hold
from loki_hooks.system.processes.ancestry import WORK_MARK
from loki_hooks.system.processes.run import scrubbed
from loki_hooks.system.site import LOKI, ensure_loki
from loki_hooks.system.store.leases import port_variables
from loki_hooks.system.worktrees.clone import clone_folder
from loki_hooks.system.worktrees.globs import Tree

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
    for key, value in places(str(worktree), _present(worktree)).items():
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


def is_python(worktree: Path) -> bool:
    return any((worktree / name).is_file() for name in ("pyproject.toml", "setup.py", "setup.cfg", "pytest.ini"))


def to_copy(main: Path, worktree: Path, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the paths of the main worktree's untracked files that match and that the worktree does not have yet.

    Only regular files that git does not track there; nothing is followed out of either folder.
    Raises ``BadInputError`` for a pattern that leads out.
    """
    _refuse_outside("environment.copy", patterns)
    if not patterns:
        return ()
    tree = Tree(main)
    found = []
    for name in tree.matches(patterns):
        source, target = main / name, worktree / name
        plain = source.is_file() and not source.is_symlink() and not os.path.lexists(target) and "\n" not in name
        if plain and not _leads_out(target, worktree):
            found.append(name)
    tracked = tree.tracked(found)
    return tuple(name for name in found if name not in tracked)


def copy_files(main: Path, worktree: Path, names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Copy the files, mode kept, owner where we may; return (path, sha256) of each copied one.

    They are written in the worktree's own ``.loki/``, which git ignores, and then moved: whoever is killed in between
    leaves nothing that could be committed.
    """
    copied = []
    holding = worktree / LOKI / f".copy-{os.getpid()}"
    ensure_loki(worktree / LOKI)
    for name in names:
        source, target = main / name, worktree / name
        data = read_plain(source)
        if data is None:
            continue
        seen = source.stat()
        write_atomic(holding, data, mode=0o600)
        try:
            with contextlib.suppress(PermissionError):
                os.chown(holding, seen.st_uid, seen.st_gid)
            holding.chmod(stat.S_IMODE(seen.st_mode) & 0o777)
            target.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(target):
                continue
            holding.rename(target)
        except OSError as error:
            raise LokiError(f"cannot copy {name} into {worktree}: {error.strerror or error}") from error
        finally:
            holding.unlink(missing_ok=True)
        copied.append((name, hashlib.sha256(data).hexdigest()))
    return tuple(copied)


LINKED = "link:"
"""Stands before a symbolic link's target where a copied file's hash would be."""


def to_link(main: Path, worktree: Path, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the paths of the main worktree's untracked files and folders that match and the worktree does not have.

    A folder with another worktree in it is not one of them. Raises ``BadInputError`` for a pattern that leads out.
    """
    _refuse_outside("environment.link", patterns)
    tree = Tree(main)
    names = [
        name
        for name in tree.matches(patterns)
        if "\n" not in name and not os.path.lexists(worktree / name) and not _leads_out(worktree / name, worktree)
    ]
    tracked = tree.tracked(names)
    named = {pattern.strip("/") for pattern in patterns}
    found: list[str] = []
    for name in names:
        if any(name.startswith(f"{other}/") for other in found):
            continue  # comes along with the folder that it is in
        if name not in tracked and not tree.holds_others(name, named=name in named):
            found.append(name)
    return tuple(found)


def link_files(main: Path, worktree: Path, names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Make symbolic links to the main worktree's files and folders; return (path, ``link:`` and its target) of each."""
    linked = []
    for name in names:
        target = worktree / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(main / name)
        except FileExistsError:
            continue
        except OSError as error:
            raise LokiError(f"cannot link {name} into {worktree}: {error.strerror or error}") from error
        linked.append((name, f"{LINKED}{main / name}"))
    return tuple(linked)


def _refuse_outside(key: str, patterns: Iterable[str]) -> None:
    for pattern in patterns:
        if pattern.startswith("/") or ".." in pattern.split("/"):
            raise BadInputError(
                f"{key}: {pattern!r} leads out of the repository",
                "name files below its root, such as .env or config/*.env",
            )


def _leads_out(path: Path, root: Path) -> bool:
    """Whether a folder between ``root`` and ``path`` is a symbolic link."""
    return any(parent.is_symlink() for parent in path.parents if parent != root and parent.is_relative_to(root))


EXCLUDED_BY_US = "# copied into worktrees by loki-hooks: never to be committed"
"""Stands before each line of ours in ``info/exclude``."""


def exclude(worktree_git: Git, common: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    """Keep files out of git also where the repository's ignore rules do not; return those that cannot be kept out.

    ``info/exclude`` is one file for all worktrees; a line is added only for a name that git would show here. A file
    that some branch tracks stays tracked there: ignore rules do not speak of tracked files.
    """
    shown = _shown(worktree_git, names)
    if not shown:
        return ()
    path = Path(os.path.realpath(common / "info" / "exclude"))
    with hold(common / "loki" / "exclude.lock"):  # many spawns at once
        text = path.read_text(encoding="utf-8", errors="surrogateescape") if path.is_file() else ""
        have = set(text.splitlines())
        lines = [line for line in (f"/{_literal(name)}" for name in shown) if line not in have]
        if lines:
            mode = stat.S_IMODE(path.stat().st_mode) if path.is_file() else 0o644
            added = "".join(f"{EXCLUDED_BY_US}\n{line}\n" for line in lines)
            write_atomic(path, text + ("" if text.endswith("\n") or not text else "\n") + added, mode)
    return _shown(worktree_git, shown)


def unexclude(common: Path) -> bool:
    """Take our lines out of ``info/exclude`` again; return whether there were any."""
    path = Path(os.path.realpath(common / "info" / "exclude"))
    if not path.is_file():
        return False
    lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines(keepends=True)
    kept = [
        line
        for at, line in enumerate(lines)
        if line.rstrip("\n") != EXCLUDED_BY_US and (at == 0 or lines[at - 1].rstrip("\n") != EXCLUDED_BY_US)
    ]
    if len(kept) == len(lines):
        return False
    write_atomic(path, "".join(kept), stat.S_IMODE(path.stat().st_mode))
    return True


def _shown(git: Git, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(n for n in names if not git.ok("check-ignore", "-q", "--no-index", "--", n))


def _literal(name: str) -> str:
    """Return the pattern of gitignore(5) that means exactly this name."""
    escaped = re.sub(r"([\\*?\[])", r"\\\1", name)
    return f"{escaped[:-1]}\\ " if escaped.endswith(" ") else escaped


def plan_setup(worktree: Path, environment: Environment) -> Setup | None:
    """Return what `environment.setup` means in this worktree, or None when nothing is to be run."""
    setup = environment.setup
    if isinstance(setup, bool):
        return None
    present = _present(worktree)
    if setup != "auto":
        argv = ("sh", "-c", setup) if isinstance(setup, str) else setup
        return Setup((Step(argv),), command_text(setup), tuple(sorted(present)))
    texts = {name: (read_plain(worktree / name) or b"").decode("utf-8", "replace") for name in READ if name in present}
    return plan_auto(present, texts, base_python())


def setup_key(setup: Setup, worktree: Path) -> str:
    """Return the hash over the commands, their input files and the submodules' commits: equal means that nothing has to
    run again."""
    digest = hashlib.sha256(repr(setup.commands).encode())
    for name in setup.inputs:
        digest.update(name.encode() + b"\0" + (read_plain(worktree / name) or b"") + b"\0")
    if may_have_submodules(worktree):
        digest.update(repr(sorted(pinned(Git(worktree)).items())).encode())
    return digest.hexdigest()


def _present(worktree: Path) -> frozenset[str]:
    return frozenset(name for name in LOOKED_FOR if (worktree / name).is_file())


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


def base_python() -> str:
    """Return the interpreter that ours was made from: a hook framework's environment may vanish."""
    base = getattr(sys, "_base_executable", sys.executable)
    return base if Path(base).exists() else (shutil.which("python3") or sys.executable)


_MADE = (VENV, BUNDLE, "node_modules")


def hide_made(worktree: Path) -> None:
    """Make git ignore what set-up installs, where the project forgot to: as newer ``venv`` and uv do by themselves."""
    for name in _MADE:
        folder = worktree / name
        if not folder.is_dir() or folder.is_symlink() or (folder / ".gitignore").exists():
            continue
        git = Git(worktree)
        if name == VENV or not (git.ok("check-ignore", "-q", "--", f"{name}/") or git.maybe("ls-files", "--", name)):
            write_atomic(folder / ".gitignore", "*\n")


def is_missing(argv: tuple[str, ...], env: Mapping[str, str], cwd: Path) -> bool:
    """Whether the program of ``argv`` cannot be found, on PATH or, named by its path, from ``cwd``."""
    return not (cwd / argv[0]).exists() if "/" in argv[0] else shutil.which(argv[0], path=env.get("PATH")) is None


def require_program(argv: tuple[str, ...], env: Mapping[str, str], what: str) -> None:
    """Raise ``LokiError`` unless the program of ``argv`` can be found."""
    if "/" not in argv[0] and shutil.which(argv[0], path=env.get("PATH")) is None:
        raise LokiError(f"{what} needs {argv[0]}, which is not on PATH", f"install {argv[0]}")
