"""Options that a Python file declares as data: tables of defaults, classes that describe a setting, modules of defaults."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from loki_hooks.surface.python.options import Option
from loki_hooks.surface.python.source import dotted, keyword, last_name, text_of

_TABLE = re.compile(
    r"_*(?:default|base|initial)_?(?:config|configuration|settings|options|opts|preferences|conf|params)$|"
    r"_*(?:config|configuration|settings|options|conf)_?defaults?$|defaults?_?(?:config|settings|options)?_?values$",
    re.IGNORECASE,
)
_MODULES = frozenset({"default_settings", "global_settings", "default_config", "default_options", "default_conf", "config_defaults",
                      "settings_defaults", "defaults"})  # fmt: skip
_FLAGS = frozenset({"cli", "flags", "option_strings", "cli_flags", "opts"})
_CONFIGS = frozenset({"app.config", "current_app.config", "self.app.config", "application.config"})
_DJANGO = frozenset({"django.conf.settings", "settings"})
_NAME = re.compile(r"[A-Za-z][\w.-]*")
_MADE = re.compile(r"(?:Config|Setting|Option|Opt|Conf)(?:Value|Item|Option|Entry|Key|Def|Spec)?$")
LONGEST = 80
"""Characters of a value that are told."""


def declared_options(tree: ast.Module, path: str) -> list[Option]:
    """Return the options of the file (the whole tree)."""
    found = [*_of_module(tree, path)]
    if "management/commands/" in path and not PurePosixPath(path).name.startswith("_"):
        found.append(Option(PurePosixPath(path).stem, "", 1, "command"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            found += _table(node)
        elif isinstance(node, ast.ClassDef):
            found += _class(node)
        elif isinstance(node, ast.Call):
            found += _asked(node)
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and dotted(node.value) in _CONFIGS:
            found += _upper(text_of(node.slice), node, None)
    merged: dict[str, Option] = {}
    for option in found:
        there = merged.get(option.name)
        if there is None or (option.seen and not there.seen):
            merged[option.name] = option
    return list(merged.values())


def _option(name: str, at: ast.expr | ast.stmt, value: ast.expr | None, flags: tuple[str, ...] = ()) -> Option:
    shown = "" if value is None else ast.unparse(value)
    seen = shown if len(shown) <= LONGEST else ""
    return Option(name, "", at.lineno, seen, flags=flags, default=seen)


def _table(node: ast.Assign | ast.AnnAssign) -> Iterator[Option]:
    """Yield the keys of ``default_config = {"PUMP_SPEED": 3}``, also where the table is wrapped in a call."""
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    name = target.id if isinstance(target, ast.Name) else target.attr if isinstance(target, ast.Attribute) else ""
    if not _TABLE.fullmatch(name):
        return
    value = node.value
    while isinstance(value, ast.Call) and len(value.args) == 1 and not value.keywords:
        value = value.args[0]
    if isinstance(value, ast.Dict):
        for key, inner in zip(value.keys, value.values, strict=True):
            text = text_of(key)
            if text and key is not None and _NAME.fullmatch(text):
                yield _option(text, key, inner)
    elif isinstance(value, ast.Call) and last_name(value.func) in {
        "dict",
        "ImmutableDict",
        "Namespace",
        "SimpleNamespace",
    }:
        for word in value.keywords:
            if word.arg:
                yield _option(word.arg, word.value, word.value)


def _class(node: ast.ClassDef) -> Iterator[Option]:
    """Yield the option of ``class Speed(Setting): cli = ["--speed"]; default = 3``."""
    told: dict[str, ast.expr] = {}
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            told[statement.targets[0].id] = statement.value
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            told[statement.target.id] = statement.value
    listed = next((told[word] for word in _FLAGS if word in told), None)
    flags = [text for one in listed.elts if (text := text_of(one))] if isinstance(listed, ast.List | ast.Tuple) else []
    flags = [flag for flag in flags if flag.startswith("-")]
    setting = any(re.search(r"(?:Setting|Option)$", last_name(base)) for base in node.bases)
    name = next((flag for flag in flags if flag.startswith("--")), flags[0] if flags else "")
    if not name and setting and "default" in told and (text := text_of(told.get("name"))):
        name = text
    if name:
        yield _option(name, node, told.get("default"), tuple(sorted(flags)))


def _asked(call: ast.Call) -> Iterator[Option]:
    """Yield what is asked of an application's configuration by name, with a default."""
    owner = dotted(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    word = last_name(call.func)
    if owner in _CONFIGS and word in {"get", "setdefault", "pop"} and call.args:
        yield from _upper(text_of(call.args[0]), call, call.args[1] if len(call.args) > 1 else None)
    elif word == "getattr" and len(call.args) >= 2 and dotted(call.args[0]) in _DJANGO:
        yield from _upper(text_of(call.args[1]), call, call.args[2] if len(call.args) > 2 else None)
    elif _MADE.search(word) and call.args and keyword(call, "default") is not None:
        text = text_of(call.args[0]) or ""
        if text.islower() and _NAME.fullmatch(text.lstrip("-")):
            yield _option(text, call, keyword(call, "default"))


def _upper(name: str | None, at: ast.expr, default: ast.expr | None) -> Iterator[Option]:
    if name and name.isupper() and len(name) > 2:
        yield _option(name, at, default)


def _of_module(tree: ast.Module, path: str) -> Iterator[Option]:
    """Yield the constants of a module that holds nothing but defaults, told by its name."""
    if PurePosixPath(path).stem not in _MODULES:
        return
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id.isupper() and not target.id.startswith("_"):
                yield _option(target.id, target, node.value)
