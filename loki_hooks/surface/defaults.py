"""Files of default settings in TOML, YAML, JSON and ``.env.example``: each key is an option.

Which files hold settings is told by their names (``config.yaml``, ``defaults.toml``, ``settings.schema.json``): most files in these
formats are data, or belong to a tool.
"""

from __future__ import annotations

import json
import re
import tomllib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from loki_hooks.domain.surface import Aspect, Change, Compared, Thing, Unread, What, compare
from loki_hooks.surface.packages import Packages

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node

SUFFIXES = (".toml", ".yaml", ".yml", ".json")
_SETTINGS = frozenset({"config", "configuration", "settings", "defaults", "appsettings"})
_IN_FOLDER = frozenset({"default", "base", "app", "application", "main", "values", "common", "server"})
_FOLDERS = frozenset({"config", "conf", "configs", "settings", "configuration"})
_TOOLS = """
babel jest eslint prettier webpack vite vitest rollup ts tsup next nuxt tailwind postcss karma commitlint lint stylelint renovate
release mypy pytest ruff pre commit codecov cliff lerna nx turbo firebase angular vercel netlify docker compose mkdocs biome cspell
typedoc jsdoc nyc ava mocha cypress playwright storybook metro expo dependabot sonar gitlab travis circleci buf goreleaser golangci
"""
_OF_TOOLS = frozenset(_TOOLS.split())
_SHOWN_ENVIRONMENT = (".example", ".sample", ".template", ".dist", ".defaults", ".default")
MAX_YAML = 100_000
"""Characters; the parser is slow, and nobody writes longer settings."""
MAX_KEYS = 5_000
MAX_DEPTH = 12
MAX_VALUE = 200
"""Characters of a value that are told."""


_NOT_OURS = frozenset({"docs", "doc", "docker", "scripts", "tools", "ci", "deploy", "deployment", "deployments", "k8s", "ops",
                       "kubernetes", "infra", "monitoring", "provisioning", "ansible", "terraform", "charts", "helm", "compose",
                       "dev", "hack", "grafana", "prometheus", "nginx"})  # fmt: skip
"""In folders like these settings are those of other programs, which this one is run beside."""
_WORD = re.compile(r"[\w-]+")


@dataclass(frozen=True)
class Value:
    """``kind``: table, list, text, number, switch or nothing. Of a table only the keys are options."""

    text: str
    kind: str
    line: int


def holds_settings(path: str) -> bool:
    """Return whether the file's name says that it holds the project's default settings."""
    *folders, name = PurePosixPath(path).parts
    if any(f.startswith(".") or f in _NOT_OURS for f in folders):
        return False
    if name.startswith(".env"):
        return name.endswith(_SHOWN_ENVIRONMENT)
    if name.startswith(".") or not name.endswith(SUFFIXES):
        return False
    words = set(re.split(r"[._-]+", name.lower())[:-1])
    if words & _OF_TOOLS:
        return False
    return bool(words & _SETTINGS) or (bool(words & _IN_FOLDER) and bool(folders) and folders[-1] in _FOLDERS)


def changes(before: Mapping[str, str], after: Mapping[str, str], packages: Packages) -> Compared:
    """Return how the options changed; those of a file that was renamed stay the same."""
    del packages
    found: list[Change] = []
    unread: list[Unread] = []
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) == after.get(path):
            continue
        old, new = (_read(path, side.get(path, "")) for side in (before, after))
        if isinstance(old, str) or isinstance(new, str):
            unread.append(Unread(path, old if isinstance(old, str) else str(new)))
            continue
        found += _compared(path, old, new)
    return Compared(tuple(_renamed(found, before, after)), tuple(unread))


def context(changed: Collection[str], all_paths: Collection[str]) -> set[str]:  # noqa: ARG001 - each file stands alone
    """Return nothing: each file stands alone."""
    return set()


def _compared(path: str, old: Mapping[str, Value], new: Mapping[str, Value]) -> list[Change]:
    def breaks(before: Thing, after: Thing) -> bool:
        return {old[before.name].kind, new[after.name].kind} & {"table", "list"} != set() and (
            old[before.name].kind != new[after.name].kind
        )

    was, now = ({k: Thing(Aspect.CONFIG, k, v.text, v.line) for k, v in side.items()} for side in (old, new))
    return compare(path, was, now, breaks)


def _renamed(changes: list[Change], before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    """Yield the changes without those that only say that a file has another name."""
    went = {c.symbol: c for c in changes if c.what is What.REMOVED and c.file not in after}
    came = {c.symbol: c for c in changes if c.what is What.ADDED and c.file not in before}
    for change in changes:
        if went.get(change.symbol) is change and change.symbol in came:
            continue
        if came.get(change.symbol) is change and (was := went.get(change.symbol)):
            if was.before != change.after:
                yield replace(change, what=What.CHANGED, before=was.before)
            continue
        yield change


def _read(path: str, text: str) -> dict[str, Value] | str:
    """Return the options by dotted key, or why the file cannot be read."""
    name = PurePosixPath(path).name
    kind = PurePosixPath(path).suffix.lower()
    text = text.removeprefix("\ufeff")
    if not text.strip():
        return {}
    try:
        if name.startswith(".env"):
            return dict(_environment(text))
        if kind in {".yaml", ".yml"}:
            return _yaml(text)
        data = tomllib.loads(text) if kind == ".toml" else json.loads(text)
        if not isinstance(data, dict):
            return {}
        if "schema" in name and isinstance(data.get("properties"), dict):
            data = _of_schema(data, 0)
        return _bounded(_flat(data, "", _Lines(text), 1, 0))
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        return f"no valid {kind[1:].upper()}: {error}"
    except (ValueError, OverflowError, RecursionError):
        return f"no {kind[1:].upper()} that can be read"


def _bounded(pairs: Iterator[tuple[str, Value]]) -> dict[str, Value] | str:
    found: dict[str, Value] = {}
    for key, value in pairs:
        found[key] = value
        if len(found) > MAX_KEYS:
            return f"more than {MAX_KEYS:,} keys"
    return found


def _environment(text: str) -> Iterator[tuple[str, Value]]:
    """Yield the variables of ``NAME=value`` lines."""
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and name.strip().isidentifier():
            yield name.strip(), Value(value.strip().strip("\"'")[:MAX_VALUE], "text", number)


class _Lines:
    """Where words stand in a text: the parsers of TOML and JSON keep no positions."""

    def __init__(self, text: str) -> None:
        self._at: dict[str, list[int]] = defaultdict(list)
        for number, line in enumerate(text.splitlines(), 1):
            for word in _WORD.findall(line):
                self._at[word].append(number)

    def find(self, key: str, start: int) -> int:
        """Return the first line from ``start`` on that has the key (its last word), else ``start``."""
        words = _WORD.findall(key)
        lines = self._at.get(words[-1], []) if words else []
        at = bisect_left(lines, start)
        return lines[at] if at < len(lines) else start


def _flat(
    data: Mapping[str, object], prefix: str, lines: _Lines, start: int, depth: int
) -> Iterator[tuple[str, Value]]:
    """Yield the leaves; a key is looked for from its table's line on."""
    for key, value in data.items():
        line = lines.find(key, start)
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value and depth < MAX_DEPTH:
            yield from _flat(value, f"{name}.", lines, line, depth + 1)
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
            yield name, Value(text[:MAX_VALUE], _kind(value), line)


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return "table"
    if isinstance(value, list):
        return "list"
    if isinstance(value, bool):
        return "switch"
    return "number" if isinstance(value, int | float) else "text"


def _of_schema(schema: Mapping[str, object], depth: int) -> dict[str, object]:
    """Return what a JSON schema allows as a table of what it says of each key: type, default, choices."""
    properties = schema.get("properties")
    found: dict[str, object] = {}
    for key, said in properties.items() if isinstance(properties, dict) else ():
        if isinstance(said, dict) and isinstance(said.get("properties"), dict) and depth < MAX_DEPTH:
            found[key] = _of_schema(said, depth + 1)
        elif isinstance(said, dict):
            told = {word: said[word] for word in ("type", "default", "enum", "deprecated") if word in said}
            found[key] = json.dumps(told, default=str)
    return found


def _yaml(text: str) -> dict[str, Value] | str:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if len(text) > MAX_YAML:
        return f"longer than {MAX_YAML:,} characters"
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except YAMLError as error:
        problem = getattr(error, "problem", None)
        return f"no valid YAML: {problem}" if problem else "no valid YAML"
    if root is None or not isinstance(root.value, list) or not root.tag.endswith(":map"):
        return {}
    if {"apiVersion", "kind"} <= {key.value for key, _ in root.value if isinstance(key.value, str)}:
        return {}  # a cluster's resource, not settings
    return _bounded(_nodes(root, "", 0))


def _nodes(table: Node, prefix: str, depth: int) -> Iterator[tuple[str, Value]]:
    for key, node in table.value:
        name = f"{prefix}{key.value}"
        kind = node.tag.rpartition(":")[2]
        if kind == "map" and node.value and depth < MAX_DEPTH:
            yield from _nodes(node, f"{name}.", depth + 1)
        else:
            kinds = {"map": "table", "seq": "list", "bool": "switch", "int": "number", "float": "number"}
            yield name, Value(_plain(node)[:MAX_VALUE], kinds.get(kind, "text"), key.start_mark.line + 1)


def _plain(node: Node) -> str:
    """Return a value as text, whatever its quotes and layout: its first scalars, since aliases may make it endless."""
    if isinstance(node.value, str):
        return node.value
    shown: list[str] = []
    waiting: list[object] = [node]
    for _ in range(MAX_VALUE):
        if not waiting:
            break
        one = waiting.pop()
        inner = getattr(one, "value", one)
        if isinstance(inner, list):
            waiting += ["]", *reversed(inner[:MAX_VALUE]), "["]
        elif isinstance(inner, tuple):
            waiting += reversed(inner)
        else:
            shown.append(str(inner))
    return " ".join(shown)
