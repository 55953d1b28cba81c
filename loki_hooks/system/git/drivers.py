"""What the user's own configuration of git says of a checkout's bytes: filters and line ends."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path

from loki_hooks.system.processes.run import run, scrubbed


def user_drivers() -> Mapping[str, str]:
    """Return filters (``filter.*``) and settings of line ends by key, as the system's and the user's configuration have them."""
    return _read(tuple(_mark(path) for path in user_config_files()))


def user_config_files() -> tuple[str, ...]:
    """Return where git looks for the system's and the user's configuration (git-config(1), FILES); what they include is not here."""
    home = os.path.expanduser("~")
    config = os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    own = os.environ.get("GIT_CONFIG_GLOBAL")
    return (
        os.environ.get("GIT_CONFIG_SYSTEM") or "/etc/gitconfig",
        *((own,) if own is not None else (f"{config}/git/config", f"{home}/.gitconfig")),
    )


def _mark(path: str) -> str:
    try:
        found = Path(path).stat()
    except OSError:
        return path
    return f"{path} {found.st_mtime_ns} {found.st_size} {found.st_ino}"


@functools.lru_cache(maxsize=4)
def _read(_marks: tuple[str, ...]) -> Mapping[str, str]:
    words = ["git", "config", "-z", "--show-scope", "--get-regexp", r"^(filter\..*|core\.(autocrlf|eol|symlinks))$"]
    fields = iter(run(words, cwd="/", env=scrubbed()).text.split("\0"))
    found = {}
    for scope, entry in zip(fields, fields, strict=False):
        if scope in {"system", "global"}:
            key, _, value = entry.partition("\n")
            found[key] = value
    return found
