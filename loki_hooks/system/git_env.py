"""What git and its hook frameworks export into hooks, by name, and where git reads the user's own configuration.

Apart from `processes`: a hook's light path needs it without subprocess.
"""

from __future__ import annotations

import os

GIT_LOCAL_ENV = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_REFLOG_ACTION",
    "GIT_QUARANTINE_PATH",
    "GIT_EDITOR",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
)
"""`git rev-parse --local-env-vars` (a test compares), and what git sets beside it while it runs a hook.

The last four come from options such as `git --literal-pathspecs`, and change what every path of a command means.
"""


_FRAMEWORKS = ("PRE_COMMIT", "PREK")
_SETTINGS = ("PRE_COMMIT_HOME", "PREK_HOME")


def of_framework(name: str) -> bool:
    """Return whether pre-commit or prek put this variable into a hook's environment.

    Where they keep what they build is the user's own setting: without it an agent's commit would build it all again.
    """
    return name.startswith(_FRAMEWORKS) and name not in _SETTINGS


def user_config_marks() -> tuple[str, ...]:
    """Return what changes when the system's or the user's configuration of git does, but for what those files include.

    (git-config(1), FILES)
    """
    home = os.path.expanduser("~")
    config = os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    own = os.environ.get("GIT_CONFIG_GLOBAL")
    places = (f"{config}/git/config", f"{home}/.gitconfig") if own is None else (own,)
    return tuple(_mark(path) for path in (os.environ.get("GIT_CONFIG_SYSTEM") or "/etc/gitconfig", *places))


def _mark(path: str) -> str:
    try:
        found = os.stat(path)
    except OSError:
        return path
    return f"{path} {found.st_mtime_ns} {found.st_size} {found.st_ino}"
