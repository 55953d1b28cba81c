"""Refs that point at nothing, and results that nobody can read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.actions.doctor.worktrees import _OID, _line
from loki_hooks.domain.gates.results import GateResult
from loki_hooks.domain.install.diagnosis import Cure, Finding, Repair
from loki_hooks.domain.refs import GATES
from loki_hooks.system.files import read_plain
from loki_hooks.system.git import patches
from loki_hooks.system.git.git import Git
from loki_hooks.system.json import parse_json

if TYPE_CHECKING:
    from loki_hooks.actions.context import Context


# Refs ------------------------------------------------------------------------------------------------------


def check_refs(context: Context) -> list[Finding]:
    """Refs that cannot be read, or whose object is gone; gate results of ours that cannot be understood."""
    site, git = context.site, context.git
    found = [_broken(git, site.common, name) for name in broken_refs(site.common)]
    listed = git.run("for-each-ref", "--format=%(objectname) %(refname)").text.splitlines()
    pairs = [(line.partition(" ")[0], line.partition(" ")[2]) for line in listed]
    known = patches.known_blobs(git, {oid for oid, _ in pairs})
    for oid, name in pairs:
        if oid not in known:
            repair = Repair(Cure.DELETE_RESULT, name, oid) if name.startswith(GATES) else None
            found.append(
                Finding(
                    "refs",
                    False,
                    f"{name} names an object that is not there",
                    f"git has no {oid}",
                    _last_good(git, site.common, name) or "fetch it from a remote that has it",
                    repair,
                )
            )
    found += [
        Finding(
            "refs",
            False,
            f"{name} is no gate result that can be read",
            f"the blob {oid} is none",
            "it will be made anew",
            Repair(Cure.DELETE_RESULT, name, oid),
        )
        for oid, name in unreadable_results(git, [(o, n) for o, n in pairs if n.startswith(GATES) and o in known])
    ]
    return found or [Finding("refs", True, "every ref can be read", f"{len(pairs)} refs, each with its object")]


def broken_refs(common: Path) -> Iterator[str]:
    """Yield the refs whose file holds neither an object id nor the name of another ref (after a crash: nothing).

    In a reftable no ref is a file; what stands in ``refs/`` is there for programs that do not know of it.
    """
    if (common / "reftable").is_dir():
        return
    for base, _, names in os.walk(common / "refs"):
        for file in sorted(names):
            path = Path(base, file)
            if file.endswith(".lock") or path.is_symlink():
                continue
            text = _line(path)
            if not _OID.fullmatch(text) and not text.startswith("ref: "):
                yield path.relative_to(common).as_posix()


def _broken(git: Git, common: Path, name: str) -> Finding:
    repair = Repair(Cure.DELETE_RESULT, name) if name.startswith(GATES) else None
    return Finding(
        "refs",
        False,
        f"{name} cannot be read",
        f"{common / name} holds no object id",
        _last_good(git, common, name) or f"remove {common / name}, and make the ref again",
        repair,
    )


def _last_good(git: Git, common: Path, name: str) -> str:
    """Return how to bring the ref back to the last commit that its reflog has, '' when it has none."""
    lines = (read_plain(common / "logs" / name) or b"").decode("utf-8", "replace").splitlines()
    for line in reversed(lines):
        fields = line.split(" ", 2)
        if len(fields) > 1 and _OID.fullmatch(fields[1]) and git.commit_id(fields[1]):
            return f"its reflog ends with {fields[1]}: rm {common / name}; git update-ref {name} {fields[1]}"
    return ""


def unreadable_results(git: Git, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return those (object, ref) of gate results that are no gate result."""
    if not pairs:
        return []
    raw = git.run("cat-file", "--batch", stdin="".join(f"{oid}\n" for oid, _ in pairs).encode()).stdout
    found = []
    at = 0
    for oid, name in pairs:
        end = raw.index(b"\n", at)
        _, kind, size = raw[at:end].split()
        data = raw[end + 1 : end + 1 + int(size)]
        at = end + 2 + int(size)
        if kind != b"blob" or GateResult.from_json(parse_json(data)) is None:
            found.append((oid, name))
    return found
