"""The variables that pydantic's settings classes read from the environment: fields with a prefix, or by their alias."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from loki_hooks.surface.python.options import Option
from loki_hooks.surface.python.source import keyword, last_name, text_of

BASE = "BaseSettings"
MAX_DEPTH = 5
"""Models within models."""


def settings_of(tree: ast.Module, text: str) -> list[Option]:
    """Return the variables of the file's settings classes (the whole tree)."""
    if BASE not in text and "Settings" not in text:
        return []
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    found: list[Option] = []
    for cls in classes.values():
        if _is_settings(cls, classes, frozenset()):
            reader = _Settings(cls, classes)
            found += reader.options(cls, reader.prefix, 0)
    return found


def _is_settings(cls: ast.ClassDef, classes: dict[str, ast.ClassDef], trail: frozenset[str]) -> bool:
    for base in cls.bases:
        name = last_name(base)
        if name.endswith(BASE):
            return True
        if name in classes and name not in trail and _is_settings(classes[name], classes, trail | {name}):
            return True
    return False


class _Settings:
    def __init__(self, cls: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> None:
        self._classes = classes
        said = _configuration(cls)
        for base in cls.bases:
            if last_name(base) in classes:
                said = _configuration(classes[last_name(base)]) | said
        self.prefix = text_of(said.get("env_prefix")) or ""
        self._delimiter = text_of(said.get("env_nested_delimiter")) or ""
        exact = said.get("case_sensitive")
        self._exact = isinstance(exact, ast.Constant) and exact.value is True

    def options(self, cls: ast.ClassDef, prefix: str, depth: int) -> Iterator[Option]:
        for node in cls.body:
            if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
                continue
            name, kind = node.target.id, last_name(node.annotation)
            if name.startswith("_") or kind == "ClassVar" or name == "model_config":
                continue
            inner = self._classes.get(kind)
            if inner is not None and self._delimiter and depth < MAX_DEPTH and inner is not cls:
                yield from self.options(inner, f"{prefix}{name}{self._delimiter}", depth + 1)
                continue
            alias, default = _said(node.value)
            shown = alias if alias and depth == 0 else self._spelled(f"{prefix}{alias or name}")
            seen = ast.unparse(node.annotation) + (f" = {default}" if default else "")
            yield Option(shown, "", node.lineno, seen, not default, is_variable=True, default=default)

    def _spelled(self, name: str) -> str:
        return name if self._exact else name.upper()


def _configuration(cls: ast.ClassDef) -> dict[str, ast.expr]:
    """Return what ``model_config`` or the inner ``Config`` says, and keywords of the class."""
    said: dict[str, ast.expr] = {k.arg: k.value for k in cls.keywords if k.arg}
    for node in cls.body:
        if isinstance(node, ast.ClassDef) and node.name == "Config":
            for inner in node.body:
                if isinstance(inner, ast.Assign):
                    said.update({t.id: inner.value for t in inner.targets if isinstance(t, ast.Name)})
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        target = (
            node.targets[0]
            if isinstance(node, ast.Assign)
            else node.target
            if isinstance(node, ast.AnnAssign)
            else None
        )
        if isinstance(target, ast.Name) and target.id == "model_config":
            if isinstance(value, ast.Call):
                said.update({k.arg: k.value for k in value.keywords if k.arg})
            elif isinstance(value, ast.Dict):
                said.update({text: v for k, v in zip(value.keys, value.values, strict=True) if (text := text_of(k))})
    return said


def _said(value: ast.expr | None) -> tuple[str, str]:
    """Return the field's alias and default as text; '' for what it has not."""
    if not (isinstance(value, ast.Call) and last_name(value) == "Field"):
        return "", ast.unparse(value) if value is not None and not _is_ellipsis(value) else ""
    alias: ast.expr | None = keyword(value, "validation_alias", "alias", "env")
    if isinstance(alias, ast.Call) and alias.args:  # AliasChoices("A", "B"): the first is the one to tell
        alias = alias.args[0]
    elif isinstance(alias, ast.List | ast.Tuple) and alias.elts:
        alias = alias.elts[0]
    default = value.args[0] if value.args else keyword(value, "default", "default_factory")
    return text_of(alias) or "", "" if default is None or _is_ellipsis(default) else ast.unparse(default)


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...
