"""What a package's manifest itself offers: features of a crate, extras, commands, and which versions of a language it needs."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from loki_hooks.domain.surface import Aspect, Change, Compared, Thing, Unread, What, compare
from loki_hooks.surface.packages import Packages

NAMES = ("Cargo.toml", "pyproject.toml", "package.json", "go.mod", "setup.py", "setup.cfg")
_NEEDS = re.compile(r"""required_ruby_version\s*=\s*["']([^"']+)["']|python_requires\s*=\s*["']?([^"'\n,]+)""")
_GO = re.compile(r"^go\s+(\d+\.\d+)", re.MULTILINE)


def is_manifest(path: str) -> bool:
    return path.rpartition("/")[2] in NAMES or path.endswith(".gemspec")


def changes(before: Mapping[str, str], after: Mapping[str, str], packages: Packages) -> Compared:
    """Return how what the manifests offer changed; the options of a file that came or went are those of its package."""
    found: list[Change] = []
    unread: list[Unread] = []
    for path in sorted(before.keys() & after.keys()):
        if before[path] == after[path]:
            continue
        try:
            old, new = (dict(_read(path, side[path])) for side in (before, after))
        except ValueError:
            unread.append(Unread(path, "no manifest that can be read"))
            continue
        changed = compare(path, old, new, lambda was, _: was.name in _VERSIONS)
        if _is_program(packages, path):
            changed = [c for c in changed if c.symbol in _VERSIONS]
        found += changed
    return Compared(tuple(_without_renames(found)), tuple(unread))


def context(changed: Collection[str], all_paths: Collection[str]) -> set[str]:
    """Return nothing: each manifest stands alone."""
    del changed, all_paths
    return set()


_VERSIONS = frozenset({"requires-python", "rust-version", "engines.node", "required_ruby_version", "go"})


def _is_program(packages: Packages, path: str) -> bool:
    """Whether nobody can ask for its features, since it is in no registry: of a crate, that is said by ``publish``."""
    return path.endswith("Cargo.toml") and "publish = false" in packages.texts.get(path, "")


def _without_renames(changes: list[Change]) -> Iterator[Change]:
    yield from (change for change in changes if change.what is not What.CHANGED or change.before != change.after)


def _read(path: str, text: str) -> Iterator[tuple[str, Thing]]:
    name = PurePosixPath(path).name
    lines = text.splitlines()
    for key, value in _told(name, text):
        bare = re.compile(rf"(?<![\w-]){re.escape(key.rpartition('.')[2])}(?![\w-])")
        line = next((number for number, one in enumerate(lines, 1) if bare.search(one)), 1)
        yield key, Thing(Aspect.CONFIG, key, value, line)


def _told(name: str, text: str) -> Iterator[tuple[str, str]]:
    if name == "Cargo.toml":
        yield from _crate(tomllib.loads(text))
    elif name == "pyproject.toml":
        yield from _project(tomllib.loads(text))
    elif name == "package.json":
        yield from _package(json.loads(text))
    elif name == "go.mod":
        found = _GO.search(text)
        yield from [("go", found[1])] if found else []
    else:
        needed = _NEEDS.search(text)
        if needed:
            yield "required_ruby_version" if needed[1] else "requires-python", (needed[1] or needed[2]).strip()


def _crate(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    features = _table(data, "features")
    for name, value in features.items():
        if not name.startswith("_"):
            yield name, f"feature = {json.dumps(sorted(map(str, value)))}" if name == "default" else "feature"
    inside = {str(one) for listed in features.values() if isinstance(listed, list) for one in listed}
    for name, value in _table(data, "dependencies").items():
        optional = isinstance(value, dict) and value.get("optional") is True
        if optional and not features and f"dep:{name}" not in inside:
            yield name, "feature"
    version = _table(data, "package").get("rust-version")
    if isinstance(version, str):
        yield "rust-version", version


def _project(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    project, poetry = _table(data, "project"), _table(data, "tool", "poetry")
    for name in {**_table(project, "optional-dependencies"), **_table(poetry, "extras")}:
        if name not in {"dev", "test", "tests", "docs", "doc", "lint", "typing", "testing", "benchmark"}:
            yield name, "extra"
    for name in {**_table(project, "scripts"), **_table(poetry, "scripts")}:
        yield name, "command"
    needs = project.get("requires-python", _table(poetry, "dependencies").get("python"))
    if isinstance(needs, str):
        yield "requires-python", needs


def _package(data: object) -> Iterator[tuple[str, str]]:
    if not isinstance(data, dict) or data.get("private") is True:
        return
    named = data.get("bin")
    for name in named if isinstance(named, dict) else ():
        yield name, "command"
    node = _table(data, "engines").get("node")
    if isinstance(node, str):
        yield "engines.node", node


def _table(data: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        inner = data.get(key)
        data = inner if isinstance(inner, dict) else {}
    return data
