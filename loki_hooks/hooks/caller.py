"""Who runs this hook, and what of its environment must not go on to what we start."""

from __future__ import annotations

import os
import sys

from loki_hooks.system.git_env import GIT_LOCAL_ENV, of_framework

NATIVE = "native"
PRE_COMMIT = "pre-commit"
PREK = "prek"

_OF_ENVIRONMENTS = ("VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "PYTHONPATH", "PYTHONHOME")


def framework(env: dict[str, str]) -> str:
    """Return who runs this hook.

    Both frameworks set ``PRE_COMMIT``; what they run as ``.legacy`` they ran as git would have.
    """
    if "PREK_RUNNING_LEGACY" in env or "PRE_COMMIT_RUNNING_LEGACY" in env:
        return NATIVE
    if env.get("PREK_HOOK_STAGE"):
        return PREK
    return PRE_COMMIT if env.get("PRE_COMMIT") else NATIVE


def cleaned(env: dict[str, str]) -> dict[str, str]:
    """Return ``env`` without what git, a hook framework and its virtual environment put there.

    A framework puts its environment's programs first on PATH, before the folder that git puts there; only that
    entry goes. The same folder further on is the user's own.
    """
    kept = {
        name: value
        for name, value in env.items()
        if name not in GIT_LOCAL_ENV and name not in _OF_ENVIRONMENTS and not of_framework(name)
    }
    first, _, rest = env.get("PATH", "").partition(os.pathsep)
    if framework(env) != NATIVE and first and first == os.path.dirname(sys.executable):
        kept["PATH"] = rest
    return kept
