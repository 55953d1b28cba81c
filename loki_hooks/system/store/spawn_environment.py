"""The environment that a stream's sessions start in: that of whoever spawned (or resumed) it, not of who starts them.

A session that waited is started by whichever process makes the pass: a git hook below pre-commit, the end of another
session, `run`. Its variables are in two parts, each a file of mode 0600 with ``{"id", "common", "env"}``:

    <common>/loki/environments/<stream>.json   what is no secret, as it was at the spawn
    <memory>/<hash of common>/<stream>.json    all of it, with the same id: in memory, never on a disk

The memory is ``$XDG_RUNTIME_DIR/loki-hooks`` (gone with the login); where that is not set, ``/dev/shm/loki-hooks-<uid>``
(gone when the machine goes down); nowhere else, and only in a folder that is this user's alone.

No secret: PATH, HOME and the other names of ``KNOWN``, locale, time zone, XDG_*, git's own settings, and every variable
that is nothing but absolute paths of which the first exists (CARGO_HOME, NVM_DIR, SSH_AUTH_SOCK …). Everything else might be
one and is never written to a disk: where there is no memory to keep it in, a session gets it from the process that starts
it, if it is there. Never kept: what git and hook frameworks put into hooks, what belongs to a terminal or to another
session, and LOKI_* (knobs and trust are those of who makes the pass). Both files go when the stream is archived; what a
repository that is gone has left in memory goes with the next spawn of any other.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loki_hooks.domain.names import flat
from loki_hooks.errors import LokiError
from loki_hooks.system.files import write_atomic
from loki_hooks.system.git_env import of_framework
from loki_hooks.system.json import dump_json, read_json
from loki_hooks.system.processes.run import scrubbed
from loki_hooks.system.site import Site

KNOWN = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|XDG_\w+|EDITOR|VISUAL|PAGER|SSH_ASKPASS|NO_COLOR|"
    r"NO_PROXY|no_proxy|GIT_(AUTHOR|COMMITTER)_(NAME|EMAIL)|GIT_CONFIG_(GLOBAL|SYSTEM|NOSYSTEM)|GIT_TERMINAL_PROMPT|"
    r"GIT_ASKPASS|GIT_SSH(_VARIANT)?|GIT_PAGER|GIT_LFS_SKIP_SMUDGE|GIT_ATTR_NOSYSTEM|GIT_CEILING_DIRECTORIES|"
    r"GIT_TEMPLATE_DIR"
)
_TERMINALS = re.compile(
    r"_|PWD|OLDPWD|SHLVL|COLORTERM|COLUMNS|LINES|TMUX(_PANE)?|STY|WINDOW(ID)?|GPG_TTY|SSH_(TTY|CLIENT|CONNECTION)|"
    r"TERM_(PROGRAM|PROGRAM_VERSION|SESSION_ID)"
)
_NEVER = frozenset({"TERM", "GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"})
_OF_A_COMMIT = ("GIT_AUTHOR_", "GIT_COMMITTER_")
"""What git tells a hook of the commit at hand: of another one, in a session."""
_VIRTUAL = re.compile(r"VIRTUAL_ENV(_PROMPT)?|PYTHON(PATH|HOME)")
_PORT = re.compile(r"PORT(_\d+)?")
_TRIES = 5
_RUNTIME = "XDG_RUNTIME_DIR"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  memory, entered only by way of a folder that is ours alone


def keep(site: Site, stream: str) -> None:
    """Keep our own environment for the stream's sessions. Raises ``LokiError`` when it cannot be written."""
    env = _cleaned(scrubbed())
    ident = os.urandom(8).hex()
    forget(site, stream)
    plain = {name: value for name, value in env.items() if is_plain(name, value)}
    entry = {"id": ident, "common": str(site.common)}
    write_atomic(_file(site, stream), dump_json({**entry, "env": plain}), 0o600)
    memory = _memory(site, stream, plain)
    if memory is not None:
        for _ in range(_TRIES):  # whoever forgets the last of the repository's removes its folder
            with contextlib.suppress(LokiError, OSError):  # full, say: then it comes from who starts the session
                memory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_atomic(memory, dump_json({**entry, "env": env}), 0o600)
                break
        with contextlib.suppress(OSError):
            _sweep(memory.parent.parent)


def forget(site: Site, stream: str) -> None:
    """Remove what is kept for the stream."""
    kept = _read(_file(site, stream))
    memory = _memory(site, stream, kept[1]) if kept is not None else None
    if memory is not None:
        with contextlib.suppress(OSError):
            memory.unlink()
            memory.parent.rmdir()
    _file(site, stream).unlink(missing_ok=True)


def kept_streams(site: Site) -> list[str]:
    """Return the (flat) names of the streams that something is kept for."""
    folder = site.private / "environments"
    return sorted(p.stem for p in folder.glob("[!.]*.json")) if folder.is_dir() else []


def environment_for(site: Site, stream: str) -> dict[str, str]:
    """Return the environment to start a session of the stream in; ours, scrubbed, where none is kept for it."""
    ours = scrubbed()
    kept = _read(_file(site, stream))
    if kept is None:
        return ours
    ident, plain = kept
    memory = _memory(site, stream, plain)
    whole = _read(memory) if memory is not None else None
    if whole is not None and whole[0] == ident:
        rest = {name: value for name, value in ours.items() if name.startswith("LOKI_") or name == "TERM"}
        return {**whole[1], **rest}
    rest = {
        name: value
        for name, value in ours.items()
        if not (name.startswith(_OF_A_COMMIT) or _of_a_place(name) or is_plain(name, value))
    }
    return {**rest, **plain}


def is_plain(name: str, value: str) -> bool:
    """Return whether the variable is surely no secret, and the spawn's to say (LOKI_* is not)."""
    if name.startswith("LOKI_"):
        return False
    return KNOWN.fullmatch(name) is not None or _is_paths(value)


def _of_a_place(name: str) -> bool:
    """Whether a terminal, an activated environment or a hook framework put the variable there."""
    return of_framework(name) or _TERMINALS.fullmatch(name) is not None or _VIRTUAL.fullmatch(name) is not None


def _is_paths(value: str) -> bool:
    parts = value.split(os.pathsep)
    return all(part.startswith("/") for part in parts) and "\0" not in value and os.path.lexists(parts[0])


def _cleaned(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what a hook, a terminal or another session put into it."""
    worktree, foreign = env.get("LOKI_WORKTREE", ""), env.get("VIRTUAL_ENV", "")
    in_framework = any(of_framework(name) for name in env)
    found = {
        name: value
        for name, value in env.items()
        if not (name.startswith("LOKI_") or name in _NEVER or _of_a_place(name) or (worktree and _PORT.fullmatch(name)))
    }
    not_his = [folder for folder in (worktree, foreign if in_framework else "") if folder]
    path = [
        part
        for part in env.get("PATH", os.defpath).split(os.pathsep)
        if part and not part.endswith("/git-core") and not any(Path(part).is_relative_to(folder) for folder in not_his)
    ]
    return {**found, "PATH": os.pathsep.join(path)}


def _file(site: Site, stream: str) -> Path:
    return site.private / "environments" / f"{flat(stream)}.json"


def _memory(site: Site, stream: str, env: Mapping[str, str]) -> Path | None:
    """Return the file in memory that belongs to the environment ``env``, None where there is no such place."""
    root = _memory_root(env)
    place = hashlib.sha256(os.fsencode(site.common)).hexdigest()[:16]
    return root / place / f"{flat(stream)}.json" if root is not None else None


def _memory_root(env: Mapping[str, str]) -> Path | None:
    runtime = env.get(_RUNTIME)
    if runtime:
        return Path(runtime, "loki-hooks") if _is_ours_alone(Path(runtime)) else None
    root = SHARED_MEMORY / f"loki-hooks-{os.getuid()}"
    try:
        if SHARED_MEMORY.is_dir():
            root.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return None
    return root if _is_ours_alone(root) else None


def _is_ours_alone(folder: Path) -> bool:
    try:
        seen = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.getuid() and not seen.st_mode & 0o077


def _sweep(root: Path) -> None:
    """Remove what repositories that are gone have left."""
    for place in root.iterdir():
        first = next(place.glob("[!.]*.json"), None)
        entry = read_json(first) if first is not None else None
        common = entry.get("common") if isinstance(entry, dict) else None
        if isinstance(common, str) and not Path(common).is_dir():
            shutil.rmtree(place, ignore_errors=True)


def _read(path: Path) -> tuple[str, dict[str, str]] | None:
    """Return (id, variables); None when there is nothing of this user's that can be read."""
    try:
        if path.lstat().st_uid != os.getuid():
            return None
    except OSError:
        return None
    value: Any = read_json(path)
    env = value.get("env") if isinstance(value, dict) else None
    if not isinstance(env, dict) or not isinstance(value.get("id"), str):
        return None
    good = {
        name: text
        for name, text in env.items()
        if isinstance(text, str) and name and "=" not in name and "\0" not in name + text
    }
    return value["id"], good
