"""Gate results under ``refs/loki/gates/<tree>/<gate-hash>``: a ref to a JSON blob, seen from every worktree."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterable

from loki_hooks.domain.config import Config, Gate
from loki_hooks.domain.gates import GateResult, Seen, gate_hash
from loki_hooks.system.clock import seconds_since
from loki_hooks.system.files import parse_json
from loki_hooks.system.git import Git

PREFIX = "refs/loki/gates/"


def platform_text() -> str:
    """Return what of the machine may change a result: system and architecture."""
    return f"{sys.platform}-{platform.machine()}"


def hash_of(gate: Gate, config: Config) -> str:
    """Return the gate's hash under ``config`` (the one in force)."""
    return gate_hash(gate, config.environment, platform_text())


def ref_of(tree: str, hashed: str) -> str:
    return f"{PREFIX}{tree}/{hashed}"


def store(git: Git, result: GateResult) -> None:
    """Record the result; a newer one for the same tree and gate replaces an older one."""
    blob = git.write_blob(json.dumps(result.to_json(), ensure_ascii=False).encode("utf-8", "backslashreplace"))
    git.update_ref(ref_of(result.tree, result.gate_hash), blob, None, f"gate {result.gate}: {result.outcome}")


def lookup(git: Git, tree: str, hashed: str) -> GateResult | None:
    """Return the recorded result, or None when there is none that can be read and is about this tree and gate."""
    done = git.run("cat-file", "blob", ref_of(tree, hashed))
    if done.returncode != 0:
        return None
    found = GateResult.from_json(parse_json(done.stdout))
    return found if found is not None and found.tree == tree and found.gate_hash == hashed else None


def seen(git: Git, tree: str, gates: Iterable[Gate], config: Config) -> tuple[Seen, ...]:
    """Return each gate with the result that ``tree`` has for it."""
    entries = []
    for gate in gates:
        result = lookup(git, tree, hash_of(gate, config))
        age = seconds_since(result.finished_at) if result else None
        entries.append(Seen(gate, result, age if age is not None else 0.0))
    return tuple(entries)
