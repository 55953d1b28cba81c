"""The machine: which programs are here, which versions, and what they cannot do in this repository; room on disk."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.domain.config import Config
from loki_hooks.domain.install.diagnosis import Finding, git_limits, unreadable_to_pygit2
from loki_hooks.domain.install.values import InstallWay
from loki_hooks.domain.sessions.prompts import words_of
from loki_hooks.errors import LokiError
from loki_hooks.system.git.git import git_version
from loki_hooks.system.hooks.framework import find_config
from loki_hooks.system.hooks.record import read_record
from loki_hooks.system.processes.run import run

if TYPE_CHECKING:
    from loki_hooks.actions.context import Context

_OPTIONAL = {"gh": "`finish --pr` pushes, and prints what to do then", "tmux": "`spawn --tmux` cannot be used"}
_LITTLE = 512 * 1024 * 1024


def check_programs(context: Context) -> list[Finding]:
    """The agent must be here where it was chosen or has been used; so must the framework that runs the hooks."""
    config = context.config.working
    found = []
    chosen = config.session.agent
    used = chosen != Config().session.agent or any(r.origin == "spawned" for r in context.store.read().streams.values())
    present: list[str] = []
    absent: list[str] = []
    for name, agent in sorted(config.agents.items()):
        program = words_of(agent.command)[0]
        here = (context.site.root / program).exists() if "/" in program else shutil.which(program) is not None
        if name == chosen:
            found.append(
                Finding(
                    "programs",
                    here or not used,
                    f"the agent {name} is {'here' if here else 'not here'}",
                    f"{shutil.which(program) or program}" if here else f"{program} is not on PATH",
                    "" if here else "install it, or choose another: session.agent, or spawn --agent",
                )
            )
        else:
            (present if here else absent).append(name)
    found.append(
        Finding(
            "programs",
            True,
            f"other agents here: {', '.join(present) or 'none'}",
            f"not on PATH: {', '.join(absent) or 'none'}",
        )
    )
    for name, without in _OPTIONAL.items():
        path = shutil.which(name)
        found.append(
            Finding("programs", True, f"{name} is {'here' if path else 'not here'}", path or f"without it {without}")
        )
    found.append(_framework(context))
    return found


def _framework(context: Context) -> Finding:
    site = context.site
    beside = os.pathsep.join((os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)))
    versions = [
        f"{name} {version}" for name in ("pre-commit", "prek") if (version := _version(shutil.which(name, path=beside)))
    ]
    needed = read_record(site).way == InstallWay.PRE_COMMIT.value
    config = find_config(site.main or site.here)
    ok = bool(versions) or not needed
    return Finding(
        "programs",
        ok,
        f"hook frameworks: {', '.join(versions) or 'none'}",
        f"{config} is there" if config else "there is no .pre-commit-config.yaml",
        "" if ok else "install pre-commit or prek",
    )


def _version(program: str | None) -> str:
    if program is None:
        return ""
    try:
        return run([program, "--version"], cwd="/", timeout=20).text.strip().rpartition(" ")[2]
    except LokiError:
        return ""


def check_versions(context: Context) -> list[Finding]:
    """git and pygit2, and what they cannot do in a repository of this format."""
    have = git_version()
    good, limits = git_limits(have)
    shown = ".".join(map(str, have))
    found = [
        Finding(
            "versions",
            good,
            f"git {shown}",
            "; ".join(limits) or "it can do all that is used here",
            "" if good else "loki-hooks needs git 2.31 or newer",
        )
    ]
    try:
        pygit2 = importlib.metadata.version("pygit2")
    except importlib.metadata.PackageNotFoundError:
        pygit2 = ""
    git = context.git
    keys = {
        "objectformat": "extensions.objectFormat",
        "refstorage": "extensions.refStorage",
        "partialclone": "extensions.partialClone",
        "sparse": "index.sparse",
        "splitindex": "core.splitIndex",
    }
    settings = {name: value for name, key in keys.items() if (value := git.config(key))}
    if "partialclone" not in settings and (
        git.maybe("config", "--get-regexp", r"^remote\..*\.partialclonefilter$") or ""
    ):
        settings["partialclone"] = "remote"
    cannot = unreadable_to_pygit2(settings)
    needed = have < (2, 38)
    if not pygit2:
        found.append(
            Finding(
                "versions",
                not needed,
                "pygit2 is not here",
                "git before 2.38 cannot merge in memory" if needed else "git's own ways are used",
                "reinstall loki-hooks" if needed else "",
            )
        )
    elif cannot:
        found.append(
            Finding(
                "versions",
                not needed,
                f"pygit2 {pygit2} cannot read this repository",
                ", ".join(cannot)
                + ("; git before 2.38 cannot merge in memory either" if needed else "; git's own ways are used"),
                "use git 2.38 or newer" if needed else "",
            )
        )
    else:
        found.append(Finding("versions", True, f"pygit2 {pygit2}", "it can read a repository of this format"))
    found.append(Finding("versions", True, f"Python {platform.python_version()}", sys.executable))
    return found


def check_disk(context: Context) -> list[Finding]:
    """There is room for what is written: where the repository is, and where worktrees go."""
    site = context.site
    found = []
    seen = set()
    for folder in (site.common, site.root.parent, Path(os.environ.get("TMPDIR") or "/tmp")):  # noqa: S108  looked at only
        try:
            device = folder.stat().st_dev
            room = shutil.disk_usage(folder)
            nodes = os.statvfs(folder)
        except OSError:
            continue
        if device in seen:
            continue
        seen.add(device)
        little = room.free < _LITTLE or (nodes.f_files > 0 and nodes.f_favail < 10_000)
        found.append(
            Finding(
                "disk",
                not little,
                f"{room.free / 1e9:.1f} GB are free at {folder}",
                f"of {room.total / 1e9:.1f} GB" + (f", {nodes.f_favail} files" if nodes.f_files else ""),
                "make room: `loki-hooks cleanup`, caches, old worktrees" if little else "",
            )
        )
    return found
