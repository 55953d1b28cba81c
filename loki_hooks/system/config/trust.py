"""Trust: the user's word that commands which a repository brings may run on this machine.

Kept per user, outside every repository, in ``<user state folder>/loki-hooks/trust.json`` (mode 0600):
``{"version": 1, "repositories": {KEY: {"path", "mark", "items": [sha256 of kind and command], "gates"}}}``, where
``gates`` is ``{"commit", "files", "held"}``: whose gate configuration is in force (`approved.py`). KEY is the common
git dir's path with its device and inode, MARK a random text that is also in the git dir's ``loki/trust-mark``: another
repository at the same path, a copy, a clone, or this one moved elsewhere has to ask again. A changed command is another
command. ``LOKI_TRUST=1`` trusts everything, for machines that run nothing else (CI).

A session's word is not its user's. In its environment ``LOKI_TRUST=1`` counts for nothing; where the user's own
environment said so, the runner lends the session ``LOKI_TRUST=session:<text>``, the text being in the git dir's
``loki/session-trust``, so that hooks which the session's git runs still know. `asker` tells who asks. The limit: an agent
runs as its user, and could edit the trust file itself. Trust is consent to commands, not a sandbox around the agent.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loki_hooks.domain.config import Config
from loki_hooks.domain.sessions.agents import PRESETS, Agent, Command
from loki_hooks.system.files import read_plain, write_atomic
from loki_hooks.system.json import dump_json, read_json
from loki_hooks.system.locks import hold
from loki_hooks.system.store.asker import in_session

if TYPE_CHECKING:
    from loki_hooks.system.site import Site

VERSION = 1
_LENT = "session:"


@dataclass(frozen=True)
class TrustItem:
    """One thing to trust. ``kind``: agent, setup, gate, copy or set.

    ``command`` is, as text, what will run, or be copied, or the variable that all of it gets.
    """

    kind: str
    name: str
    command: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.kind}\0{self.command}".encode("utf-8", "surrogatepass")).hexdigest()


def items_of(working: Config, in_force: Config) -> tuple[TrustItem, ...]:
    """Return what the configuration would run.

    Agents come from the working copy (that is what starts them), gates from the integration branch's commit; set-up and
    what is copied into worktrees from both: streams use the one, gates the other.
    """
    session = working.session
    launches = {
        "session": session.launch(""),
        **{f"session.kinds.{kind}": session.launch(kind) for kind in session.kinds},
    }
    started = {launch.agent for launch in launches.values()}
    items = [
        TrustItem("agent", name, " ".join(_text(part) for part in (agent.command, *_extra(agent)) if part))
        for name, agent in working.agents.items()
        if name in started or agent != PRESETS.get(name)
    ]
    for where, launch in launches.items():
        if launch.args:
            items.append(TrustItem("agent", f"{where}.args", f"{launch.agent} {_text(launch.args)}"))
        if launch.read_dirs:
            items.append(TrustItem("agent", f"{where}.read_dirs", f"reads {_text(launch.read_dirs)}"))
    for config in (working, in_force):
        setup = config.environment.setup
        if not isinstance(setup, bool):
            items.append(TrustItem("setup", "environment.setup", _text(setup)))
        items += [TrustItem("set", key, f"{key}={text}") for key, text in config.environment.set.items()]
        for name, globs in (("copy", config.environment.copy), ("link", config.environment.link)):
            if globs:
                items.append(TrustItem("copy", f"environment.{name}", f"{name} {_text(globs)}"))
    items += [TrustItem("gate", name, _text(gate.command)) for name, gate in in_force.gates.items()]
    return tuple({item.digest: item for item in reversed(items)}.values())[::-1]


def _extra(agent: Agent) -> tuple[tuple[str, ...], ...]:
    """Return what the configuration itself says of how the agent takes a model and folders; a preset's is known."""
    preset = PRESETS.get(agent.name)
    return tuple(
        args
        for args, known in (
            (agent.model_args, preset and preset.model_args),
            (agent.read_args, preset and preset.read_args),
        )
        if args != known
    )


def _text(command: Command) -> str:
    return command if isinstance(command, str) else shlex.join(command)


def missing(site: Site, items: Iterable[TrustItem]) -> tuple[TrustItem, ...]:
    """Return those that the user has not trusted in this repository; none where the environment trusts everything."""
    if by_environment(site):
        return ()
    known = set(_items(_repositories(read_json(trust_file())), _key(site), _mark(site)))
    return tuple(item for item in items if item.digest not in known)


def by_environment(site: Site) -> bool:
    """Return whether the user's environment trusts everything: LOKI_TRUST=1, or what a runner lent its session."""
    word = os.environ.get("LOKI_TRUST", "")
    if word == "1":
        return not in_session(site)
    lent = word.removeprefix(_LENT)
    return (
        word.startswith(_LENT)
        and bool(lent)
        and hmac.compare_digest(lent.encode(), _text_in(_lent_file(site)).encode())
    )


def word_for_sessions(site: Site) -> str:
    """Return what LOKI_TRUST shall be in a session's environment, '' for nothing. The session's runner calls this."""
    if not by_environment(site):
        return ""
    path = _lent_file(site)
    with hold(path.with_name("session-trust.lock")):
        if not _text_in(path):
            write_atomic(path, f"{os.urandom(16).hex()}\n", 0o600)
        return _LENT + _text_in(path)


def _lent_file(site: Site) -> Path:
    return site.private / "session-trust"


def _mark_file(site: Site) -> Path:
    return site.private / "trust-mark"


def _text_in(path: Path) -> str:
    return (read_plain(path, 4096) or b"").decode("ascii", "replace").strip()


def _mark(site: Site) -> str:
    return _text_in(_mark_file(site))


@contextmanager
def _changing(site: Site) -> Iterator[dict[str, Any]]:
    """Yield what is recorded of all repositories, with this one marked, for change; it is published if nothing raises."""
    path = trust_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with hold(path.with_name(".trust.lock")):
        repositories = _repositories(read_json(path))
        if not _mark(site):
            write_atomic(_mark_file(site), f"{os.urandom(16).hex()}\n", 0o600)
        yield repositories
        _publish(path, repositories)


def grant(site: Site, items: Iterable[TrustItem]) -> None:
    """Record that the user trusts these in this repository, beside what was trusted before."""
    with _changing(site) as repositories:
        digests = {*_items(repositories, _key(site), _mark(site)), *(item.digest for item in items)}
        repositories[_key(site)] = {**_entry(repositories, site), "items": sorted(digests)}


@dataclass(frozen=True)
class Approved:
    """The ``commit`` whose gate configuration is in force, with the hash of its ``files``; ``held``: not what it is now."""

    commit: str
    files: str
    held: bool = False


def approved(site: Site) -> Approved | None:
    """Return which gate configuration was in force last in this repository; None where nothing is known."""
    found = _entry(_repositories(read_json(trust_file())), site).get("gates")
    if not isinstance(found, dict) or not isinstance(found.get("commit"), str):
        return None
    return Approved(found["commit"], str(found.get("files")), found.get("held") is True)


def approve(site: Site, gates: Approved) -> None:
    """Record which gate configuration is in force."""
    with _changing(site) as repositories:
        entry = _entry(repositories, site)
        value = {"commit": gates.commit, "files": gates.files, "held": gates.held}
        repositories[_key(site)] = {"items": [], **entry, "gates": value}


def _entry(repositories: dict[str, Any], site: Site) -> dict[str, Any]:
    """Return what is kept of this repository: nothing of another one that was at its path."""
    mark = _mark(site)
    entry = repositories.get(_key(site))
    kept = entry if isinstance(entry, dict) and mark and entry.get("mark") == mark else {}
    return {**kept, "path": str(site.root), "mark": mark}


def revoke(site: Site) -> None:
    """Forget what was trusted in this repository."""
    path = trust_file()
    if not path.is_file():
        return
    with hold(path.with_name(".trust.lock")):
        repositories = _repositories(read_json(path))
        if repositories.pop(_key(site), None) is not None:
            _publish(path, repositories)


def trust_file() -> Path:
    """Return where the user's word is kept."""
    from platformdirs import user_state_dir

    return Path(user_state_dir("loki-hooks", appauthor=False)) / "trust.json"


def _publish(path: Path, repositories: dict[str, Any]) -> None:
    write_atomic(path, dump_json({"version": VERSION, "repositories": repositories}), 0o600)


def _key(site: Site) -> str:
    real = os.path.realpath(site.common)
    found = Path(real).stat()
    return f"{real}|{found.st_dev}:{found.st_ino}"


def _repositories(value: object) -> dict[str, Any]:
    found = value.get("repositories") if isinstance(value, dict) and value.get("version") == VERSION else None
    return found if isinstance(found, dict) else {}


def _items(repositories: dict[str, Any], key: str, mark: str) -> list[str]:
    entry = repositories.get(key)
    if not isinstance(entry, dict) or not mark or entry.get("mark") != mark:
        return []
    found = entry.get("items")
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []
