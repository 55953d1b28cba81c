"""What the user's own configuration of git says of a checkout's bytes: filters and line ends."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from loki_hooks.system.git_env import user_config_marks
from loki_hooks.system.processes.run import run, scrubbed


def user_drivers() -> Mapping[str, str]:
    """Return filters (``filter.*``) and settings of line ends by key, as the system's and the user's configuration have them."""
    return _read(user_config_marks())


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
