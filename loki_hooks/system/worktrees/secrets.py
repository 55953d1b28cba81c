"""Read what environment files hold, in bounded time: to tell copies of them, and to keep them out of what is shown."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.domain.secrets import Scrubber, Secrets, assignments, looks_secret, scrubber
from loki_hooks.system.files import read_plain
from loki_hooks.system.worktrees.copies import LINKED

if TYPE_CHECKING:
    from loki_hooks.domain.config import Environment

MAX_FILE = 1024 * 1024
"""Bytes of an environment file that is read for its values."""
MAX_LOOKED_INTO = 16 * 1024 * 1024
MAX_FILES = 200


def secrets_of(main: Path | None, worktree: Path, copied: Iterable[tuple[str, str]]) -> Secrets:
    """Return what the files that were copied, or linked, into the worktree hold; ``copied``: their names and hashes."""
    named = list(copied)
    folders = dict.fromkeys(folder for folder in (main, worktree) if folder is not None)
    files = [frozenset(assignments(_text(folder / name))) for name, _ in named for folder in folders]
    digests = frozenset(digest for _, digest in named if not digest.startswith(LINKED))
    return Secrets(digests, tuple(dict.fromkeys(pairs for pairs in files if pairs)))


def secret_paths(worktree: Path, secrets: Secrets) -> Callable[[str], bool]:
    """Return what says of a path in the worktree whether its name or its content is a secret's."""

    def is_secret(path: str) -> bool:
        if looks_secret(path):
            return True
        data = read_plain(worktree / path, MAX_LOOKED_INTO)
        return data is not None and secrets.within(path, data)

    return is_secret


def scrubber_for(
    folders: Iterable[Path | None], environments: Iterable[Environment], env: Mapping[str, str]
) -> Scrubber:
    """Return what hides the secrets of ``env``, and of the environment files in these folders."""
    patterns = {pattern for environment in environments for pattern in (*environment.copy, *environment.link)}
    found: dict[Path, str] = {}
    for folder in filter(None, folders):
        for pattern in sorted(patterns):
            with contextlib.suppress(OSError, ValueError, NotImplementedError):
                for path in folder.glob(pattern):
                    if len(found) < MAX_FILES and path not in found and path.is_file():
                        found[path] = _text(path.resolve())
    return scrubber(env, found.values())


def _text(path: Path) -> str:
    return (read_plain(path, MAX_FILE) or b"").decode("utf-8", "replace")
