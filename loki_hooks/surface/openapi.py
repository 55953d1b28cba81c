"""OpenAPI files from which a program is made (they stand among its sources): the endpoints that they say there are."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping

from loki_hooks.domain.surface import Aspect, Change, Compared, Thing, Unread, compare
from loki_hooks.domain.writing.documents import is_specification
from loki_hooks.surface.packages import Packages

_METHODS = frozenset({"get", "post", "put", "delete", "patch", "options", "head"})
_PARAMETER = re.compile(r"\{[^}/]*\}|<[^>/]*>|:[A-Za-z_]\w*")
MAX_YAML = 150_000
"""Characters."""


def changes(before: Mapping[str, str], after: Mapping[str, str], packages: Packages) -> Compared:
    """Return which endpoints came and went."""
    del packages
    found: list[Change] = []
    unread: list[Unread] = []
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) == after.get(path):
            continue
        try:
            old, new = (endpoints_in(side.get(path, "")) for side in (before, after))
        except ValueError as error:
            unread.append(Unread(path, str(error)))
            continue
        was, now = ({key: Thing(Aspect.ENDPOINT, key, key, line) for key, line in side.items()} for side in (old, new))
        found += compare(path, was, now, lambda *_: False)
    return Compared(tuple(found), tuple(unread))


def context(changed: Collection[str], all_paths: Collection[str]) -> set[str]:
    """Return nothing: a specification stands alone."""
    del changed, all_paths
    return set()


def erased(endpoint: str) -> str:
    """Return the endpoint without what the variable parts of its path are called."""
    return _PARAMETER.sub("{}", endpoint).rstrip("/")


def served(texts: Mapping[str, str]) -> set[str]:
    """Return the endpoints (:func:`erased`) of all specifications among the files."""
    found: set[str] = set()
    for path, text in texts.items():
        if is_specification(path):
            try:
                found |= {erased(name) for name in endpoints_in(text)}
            except ValueError:
                continue
    return found


def endpoints_in(text: str) -> dict[str, int]:
    """Return the endpoints with their lines. Raises ``ValueError`` for what is no YAML or JSON."""
    if not text.strip() or "paths" not in text:
        return {}
    return dict(_in_json(text) if text.lstrip().startswith("{") else _in_yaml(text))


def _in_json(text: str) -> Iterator[tuple[str, int]]:
    try:
        data = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    paths = data.get("paths") if isinstance(data, dict) else None
    for path, told in paths.items() if isinstance(paths, dict) else ():
        for method in told if isinstance(told, dict) else ():
            if method.lower() in _METHODS:
                at = text.find(json.dumps(path))
                yield f"{method.upper()} {path}", text.count("\n", 0, max(at, 0)) + 1


def _in_yaml(text: str) -> Iterator[tuple[str, int]]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if len(text) > MAX_YAML:
        raise ValueError(f"longer than {MAX_YAML:,} characters")
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except YAMLError as error:
        raise ValueError("no valid YAML") from error
    listed = root.value if root is not None and isinstance(root.value, list) else []
    for key, paths in listed:
        if key.value == "paths" and isinstance(paths.value, list):
            for path, told in paths.value:
                for method, _ in told.value if isinstance(told.value, list) else []:
                    if str(method.value).lower() in _METHODS:
                        yield f"{method.value.upper()} {path.value}", method.start_mark.line + 1
