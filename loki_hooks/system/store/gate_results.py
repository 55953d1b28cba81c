"""Gate results under ``refs/loki/gates/<tree>/<gate-hash>``: a ref to a JSON blob, seen from every worktree.

They can be pushed and fetched like any ref. One that came from elsewhere counts only where the configuration
says so (`results.accept`): a result made in this clone carries a code over its content, made with a key that
never leaves the clone (``clone_key.py``).
"""

from __future__ import annotations

import hmac
import json
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

from loki_hooks.domain.config import Config, Gate
from loki_hooks.domain.gates.results import GateResult, Outcome, SeenResult, gate_hash
from loki_hooks.domain.refs import GATES
from loki_hooks.system.git.drivers import user_drivers
from loki_hooks.system.git.git import Git
from loki_hooks.system.json import parse_json
from loki_hooks.system.site import discover
from loki_hooks.system.store import known
from loki_hooks.system.store.clone_key import code_over


def platform_text() -> str:
    """Return what of the machine may change a result: system and architecture."""
    return f"{sys.platform}-{os.uname().machine}"


def hash_of(gate: Gate, config: Config) -> str:
    """Return the gate's hash under ``config`` (the one in force)."""
    return gate_hash(gate, config.environment, platform_text(), user_drivers())


def ref_of(tree: str, hashed: str) -> str:
    return f"{GATES}{tree}/{hashed}"


def store(git: Git, result: GateResult) -> None:
    """Record the result; a newer one for the same tree and gate replaces an older one."""
    if result.outcome is Outcome.COULD_NOT_RUN:
        before = _read(git, result.tree, result.gate_hash, own=True)
        if before is not None and before.outcome is Outcome.COULD_NOT_RUN:
            result = replace(result, since=before.since or before.finished_at)
    value = result.to_json()
    value["code"] = _code(git, value)
    blob = git.write_blob(json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace"))
    git.update_ref(ref_of(result.tree, result.gate_hash), blob, None, f"gate {result.gate}: {result.outcome}")
    if result.outcome is Outcome.PASSED:
        with suppress(OSError, ValueError):  # it only saves time
            known.note_passed(str(discover(git.cwd).common), result.tree, result.gate_hash, blob)


def _code(git: Git, value: Mapping[str, object]) -> str:
    """Return the code that only this clone can make over a result."""
    plain = json.dumps({k: v for k, v in value.items() if k != "code"}, sort_keys=True)
    return code_over(discover(git.cwd), plain.encode("utf-8", "backslashreplace"))


def lookup(git: Git, tree: str, gate: Gate, config: Config) -> GateResult | None:
    """Return the recorded result of ``gate`` under ``config`` (the one in force), or None.

    One that cannot be read, is about something else, or was made elsewhere without the configuration allowing that,
    counts as none.
    """
    return _read(git, tree, hash_of(gate, config), own=config.results.accept == "own")


def _read(git: Git, tree: str, hashed: str, *, own: bool) -> GateResult | None:
    done = git.run("cat-file", "blob", ref_of(tree, hashed))
    if done.returncode != 0:
        return None
    value = parse_json(done.stdout)
    if not isinstance(value, dict):
        return None
    code = str(value.get("code")).encode("utf-8", "replace")
    if own and not hmac.compare_digest(code, _code(git, value).encode()):
        return None
    found = GateResult.from_json(value)
    return found if found is not None and found.tree == tree and found.gate_hash == hashed else None


def tested_trees(git: Git) -> frozenset[str]:
    """Return the trees that have any result at all: one process, where asking for each tree takes one each."""
    return frozenset(ref.removeprefix(GATES).partition("/")[0] for ref in git.refs(GATES))


def seen(git: Git, tree: str, gates: Iterable[Gate], config: Config) -> tuple[SeenResult, ...]:
    """Return each gate with the result that ``tree`` has for it."""
    from loki_hooks.system.clock import seconds_since

    entries = []
    for gate in gates:
        result = lookup(git, tree, gate, config)
        age = seconds_since(result.finished_at) if result else None
        entries.append(SeenResult(gate, result, age if age is not None else 0.0))
    return tuple(entries)
