"""What a push may rely on without loading what reads configurations: light, and never more than the whole way allows.

    <common>/loki/in-force             code, key, integration branch, and the hash of every gate in force, a line each
    <common>/loki/passed/<tree>-<hash> the blob of the result that passed, and the code over the three

The whole way writes both; ``code`` is the clone's own (``clone_key.py``), so what others put there, or what is damaged,
is not believed. ``key`` is a hash of all that decides what is in force: our code, the platform, the user's configuration
of git, the main worktree's configuration, where the remotes' HEADs point, and the integration branch's configuration by
blob. A result counts only
while its ref is still at that blob, and a push goes through here only where *every* gate in force has one for its tree;
anything else is for the whole way to say. Imports little: git waits for it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import sys

from loki_hooks.system.git_env import GIT_LOCAL_ENV, user_config_marks
from loki_hooks.system.processes.detach import Dialogue

MOST = 1000
"""So many results are kept; then the older half goes."""
_FILES = ("loki-hooks.toml", "pyproject.toml")
_OWN = ("loki/main", "loki/integration")
_CODE = (
    "__init__.py",
    "system/store/known.py",
    "system/config/load.py",
    "domain/config.py",
    "domain/limits.py",
    "domain/gates/results.py",
)
_LIMIT = 1 << 20
_HEADS = "refs/heads/"


def lets_through(common: str, root: str, push: str) -> bool:
    """Return whether every ref in ``push`` (git's lines to pre-push) may go. False: it is not known, ask the whole way.

    ``common`` is the common git dir, ``root`` the folder of the main worktree's configuration.
    """
    updates = [line.rsplit(" ", 3) for line in push.split("\n") if line.strip()]
    secret, record = _read(f"{common}/loki/key"), _read(f"{common}/loki/in-force").decode("utf-8", "replace")
    code, _, signed = record.partition("\n")
    if not secret or not signed or not _same(code, _code(secret, f"in-force\0{signed}")):
        return False
    key, integration, *gates = signed.splitlines()
    with Dialogue(_cat_file(common), _env(), common) as git:
        if key != _key(common, root, integration, git):
            return False
        for update in updates:
            if len(update) != 4 or not all(update) or update[1].strip("0123456789abcdef"):
                return False
            if not update[1].strip("0") or not update[2].startswith(_HEADS):
                continue  # deletions, tags and other refs are never gated
            tree = _oid(git, f"{update[1]}^{{tree}}")
            if not tree or not all(_has_passed(common, secret, git, tree, gate) for gate in gates):
                return False
    return True


def remember(common: str, root: str, integration: str, gates: list[str]) -> None:
    """Keep which gates (by hash) are in force now. Called by the whole way, with what it has just read."""
    secret = _read(f"{common}/loki/key")
    if not secret:
        return
    with Dialogue(_cat_file(common), _env(), common) as git:
        key = _key(common, root, integration, git)
    signed = "".join(f"{line}\n" for line in (key, integration, *gates))
    if key:
        _write(f"{common}/loki/in-force", f"{_code(secret, f'in-force{chr(0)}{signed}')}\n{signed}")


def note_passed(common: str, tree: str, gate: str, blob: str) -> None:
    """Keep that the result in ``blob`` of the gate (by hash) passed on the tree."""
    secret, folder = _read(f"{common}/loki/key"), f"{common}/loki/passed"
    if secret:
        os.makedirs(folder, exist_ok=True)
        _write(
            f"{folder}/{tree}-{gate}", f"{blob} {_code(secret, f'passed{chr(0)}{tree}{chr(0)}{gate}{chr(0)}{blob}')}"
        )
        with os.scandir(folder) as found:
            names = sorted(found, key=lambda entry: entry.stat().st_mtime_ns)
        for entry in names[: MOST // 2] if len(names) > MOST else ():
            os.unlink(entry.path)


def _has_passed(common: str, secret: bytes, git: Dialogue, tree: str, gate: str) -> bool:
    blob, _, code = _read(f"{common}/loki/passed/{tree}-{gate}").decode("utf-8", "replace").partition(" ")
    return (
        bool(code)
        and _same(code, _code(secret, f"passed\0{tree}\0{gate}\0{blob}"))
        and _oid(git, f"refs/loki/gates/{tree}/{gate}") == blob
    )


def _key(common: str, root: str, integration: str, git: Dialogue) -> str:
    """Return the hash of all that decides what is in force, '' where that cannot be told this way."""
    heads = [_oid(git, f"{_HEADS}{name}") for name in ("main", "master")]
    files = [_oid(git, f"{_HEADS}{integration}:{name}") for name in _FILES]
    if not any(heads):
        return ""
    if root == common or os.path.exists(f"{common}/reftable"):  # what HEAD says counts there, and is not in files
        return ""
    package = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    seen = [os.stat(f"{package}/{name}") for name in _CODE]
    parts = [
        sys.platform,
        os.uname().machine,
        *(f"{stat.st_mtime_ns} {stat.st_size}" for stat in seen),
        *user_config_marks(),
        *(hashlib.sha256(_read(f"{root}/{name}", links=True)).hexdigest() for name in _FILES),
        *(_read(f"{common}/{name}").decode("utf-8", "replace") for name in (*_remote_heads(common), *_OWN)),
        *("there" if head else "" for head in heads),
        integration,
        *files,
    ]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()


def _remote_heads(common: str) -> list[str]:
    try:
        return [f"refs/remotes/{name}/HEAD" for name in sorted(os.listdir(f"{common}/refs/remotes"))]
    except OSError:
        return []


def _cat_file(common: str) -> list[str]:
    return ["git", f"--git-dir={common}", "cat-file", "--batch-check=%(objectname)"]


def _env() -> dict[str, str]:
    """Return an environment for git in which a replaced object is what it is: that is what gets pushed."""
    env = {name: value for name, value in os.environ.items() if name not in GIT_LOCAL_ENV}
    return env | {"GIT_NO_REPLACE_OBJECTS": "1"}


def _oid(git: Dialogue, name: str) -> str:
    """Return the id of an object, '' when there is none of the name."""
    answer = git.ask(name)
    return answer if answer.strip("0123456789abcdef") == "" and len(answer) in {40, 64} else ""


def _code(secret: bytes, text: str) -> str:
    return hmac.new(secret, text.encode("utf-8", "replace"), "sha256").hexdigest()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())


def _read(path: str, *, links: bool = False) -> bytes:
    """Return a regular file's bytes, b'' when there is none; of the user's own files one may be a link.

    Raises ``ValueError`` for one that is too large to be read at once.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | (0 if links else os.O_NOFOLLOW))
    except OSError:
        return b""
    try:
        data = os.read(handle, _LIMIT)
    except OSError:
        return b""
    finally:
        os.close(handle)
    if len(data) == _LIMIT:
        raise ValueError(f"{path} is too large")
    return data


def _write(path: str, text: str) -> None:
    made = f"{path}.{os.getpid()}.tmp"
    handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)
    os.replace(made, path)
