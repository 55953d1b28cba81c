"""Trust: the user's word that commands which a repository brings may run on this machine.

Kept per user, outside every repository, in ``<user state folder>/loki-hooks/trust.json`` (mode 0600):
``{"version": 1, "repositories": {KEY: {"path", "items": [sha256 of kind and command]}}}``. KEY is the common git dir's
path with its device and inode, so that another repository at the same path has to ask again. A changed command
is another command. ``LOKI_TRUST=1`` trusts everything, for machines that run nothing else (CI).
"""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loki_hooks.domain.config import PRESETS, Command, Config
from loki_hooks.system.files import dump_json, held, read_json, write_atomic

if TYPE_CHECKING:
    from loki_hooks.system.site import Site

VERSION = 1


@dataclass(frozen=True)
class TrustItem:
    """One thing to trust. ``kind``: agent, setup, gate or copy; ``command`` is what will run, or be copied, as text."""

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
    items = [
        TrustItem("agent", name, _text(agent.command))
        for name, agent in working.agents.items()
        if name == working.session.agent or agent.command != PRESETS.get(name)
    ]
    for config in (working, in_force):
        setup = config.environment.setup
        if not isinstance(setup, bool):
            items.append(TrustItem("setup", "environment.setup", _text(setup)))
        for name, globs in (("copy", config.environment.copy), ("link", config.environment.link)):
            if globs:
                items.append(TrustItem("copy", f"environment.{name}", f"{name} {_text(globs)}"))
    items += [TrustItem("gate", name, _text(gate.command)) for name, gate in in_force.gates.items()]
    return tuple({item.digest: item for item in reversed(items)}.values())[::-1]


def _text(command: Command) -> str:
    return command if isinstance(command, str) else shlex.join(command)


def missing(site: Site, items: Iterable[TrustItem]) -> tuple[TrustItem, ...]:
    """Return those that the user has not trusted in this repository; none with ``LOKI_TRUST=1``."""
    if os.environ.get("LOKI_TRUST") == "1":
        return ()
    known = set(_items(_repositories(read_json(trust_file())), _key(site)))
    return tuple(item for item in items if item.digest not in known)


def grant(site: Site, items: Iterable[TrustItem]) -> None:
    """Record that the user trusts these in this repository, beside what was trusted before."""
    path = trust_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with held(path.with_name(".trust.lock")):
        repositories = _repositories(read_json(path))
        digests = {*_items(repositories, _key(site)), *(item.digest for item in items)}
        repositories[_key(site)] = {"path": str(site.root), "items": sorted(digests)}
        _publish(path, repositories)


def revoke(site: Site) -> None:
    """Forget what was trusted in this repository."""
    path = trust_file()
    if not path.is_file():
        return
    with held(path.with_name(".trust.lock")):
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


def _items(repositories: dict[str, Any], key: str) -> list[str]:
    entry = repositories.get(key)
    found = entry.get("items") if isinstance(entry, dict) else None
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []
