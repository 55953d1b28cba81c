"""``.pre-commit-config.yaml``: read what matters, and write ourselves into it without touching a character of the rest.

The additions are made in the text. ruamel.yaml says where, and proves afterwards that the new text means the
old value with ours added; where it does not (flow style, unusual layout), ruamel's round trip writes the file.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loki_hooks.domain.install.plan import SHOWN_BY_FRAMEWORK
from loki_hooks.domain.install.values import BESIDE_FRAMEWORK, HOOKS, THROUGH_FRAMEWORK, FrameworkConfig
from loki_hooks.errors import BadInputError
from loki_hooks.system.files import read_plain

NAMES = (".pre-commit-config.yaml", ".pre-commit-config.yml")
TYPES = "default_install_hook_types"
STAGES = "default_stages"
_BUILT_IN = ("local", "meta", "builtin")


def find_config(base: Path) -> Path | None:
    """Return the configuration file at the root of a worktree, or None."""
    return next((base / name for name in NAMES if (base / name).is_file()), None)


def read_config(path: Path, template: str, installed: tuple[str, ...]) -> FrameworkConfig:
    """Return the configuration and what it would be with our hooks.

    ``template`` is the YAML of one hook with ``@NAME@``; ``installed`` the hook types that a framework's scripts are
    installed for now. Raises ``BadInputError`` when it is no configuration.
    """
    raw = read_plain(path.resolve()) or b""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInputError(f"{path} is not UTF-8", "correct it; nothing was done") from error
    value = _value(text, path)
    remote = tuple(
        hook["id"]
        for repo in value["repos"]
        if isinstance(repo, dict) and repo.get("repo") not in _BUILT_IN
        for hook in _hooks(repo)
        if hook.get("id") in HOOKS
    )
    here = {hook.get("id") for repo in value["repos"] if isinstance(repo, dict) for hook in _hooks(repo)}
    if remote:
        return FrameworkConfig(str(path), raw, raw, (), (), remote, remote=True)
    types = HOOKS if f"loki-hooks-{BESIDE_FRAMEWORK}" in here else THROUGH_FRAMEWORK
    if {f"loki-hooks-{name}" for name in THROUGH_FRAMEWORK} <= here:
        return FrameworkConfig(str(path), raw, raw, (), (), types, remote=False)
    edit = _plan_edit(value, template, installed)
    wanted, inserted = _apply(text, value, edit)
    changes = ["adds a local hook for each of " + ", ".join(edit.names)]
    if edit.types:
        changes.append(f"{TYPES} gets {', '.join(edit.types)}")
    if edit.stages:
        changes.append(f"{STAGES}: [{', '.join(edit.stages)}] keeps hooks without stages of their own where they ran")
    return FrameworkConfig(str(path), raw, wanted.encode(), inserted, tuple(changes), types, remote=False)


def _value(text: str, path: Path | None = None) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        value = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, RecursionError) as error:
        raise BadInputError(f"{path} is not valid YAML: {error}", "correct it; nothing was done") from error
    if not isinstance(value, dict) or not isinstance(value.get("repos"), list):
        raise BadInputError(f"{path} has no list `repos`", "write `repos: []` for none; nothing was done")
    return value


def _hooks(repo: dict[str, Any]) -> list[dict[str, Any]]:
    hooks = repo.get("hooks")
    return [hook for hook in hooks if isinstance(hook, dict)] if isinstance(hooks, list) else []


@dataclass(frozen=True)
class _Edit:
    names: tuple[str, ...]
    hooks: str
    """YAML of our hooks, a list at column 0."""
    types: tuple[str, ...]
    """What the list of hook types gets; ``declared`` is whether there is one."""
    declared: bool
    stages: tuple[str, ...]

    def expected(self, value: dict[str, Any]) -> dict[str, Any]:
        from ruamel.yaml import YAML

        ours = YAML(typ="safe", pure=True).load(self.hooks)
        changed = {**value, "repos": [*value["repos"], {"repo": "local", "hooks": ours}]}
        if self.types:
            changed[TYPES] = [*(value[TYPES] if self.declared else ()), *self.types]
        if self.stages:
            changed[STAGES] = list(self.stages)
        return changed


def _plan_edit(value: dict[str, Any], template: str, installed: tuple[str, ...]) -> _Edit:
    here = {hook.get("id") for repo in value["repos"] if isinstance(repo, dict) for hook in _hooks(repo)}
    names = tuple(name for name in THROUGH_FRAMEWORK if f"loki-hooks-{name}" not in here)
    hooks = "".join(
        template.replace("@NAME@", name) + ("  verbose: true\n" if name in SHOWN_BY_FRAMEWORK else "") for name in names
    )
    declared = isinstance(value.get(TYPES), list)
    old = tuple(str(word) for word in value[TYPES]) if declared else ()
    before = old or ("pre-commit",)
    types = tuple(word for word in ((() if declared else ("pre-commit",)) + THROUGH_FRAMEWORK) if word not in old)
    loose = any("stages" not in hook for repo in value["repos"] if isinstance(repo, dict) for hook in _hooks(repo))
    stages = tuple(dict.fromkeys((*before, *installed))) if loose and STAGES not in value else ()
    return _Edit(names, hooks, types, declared, stages)


def _apply(text: str, value: dict[str, Any], edit: _Edit) -> tuple[str, tuple[str, ...]]:
    """Return the new text, and the pieces that were inserted (none where the whole was written anew)."""
    expected = edit.expected(value)
    try:
        new, inserted = _insert(text, edit)
        if _value(new) == expected:
            return new, inserted
    except (ValueError, IndexError, KeyError, AttributeError, BadInputError):
        pass  # not a layout that we can add lines to
    return _rewritten(text, expected, edit), ()


def _insert(text: str, edit: _Edit) -> tuple[str, tuple[str, ...]]:
    from ruamel.yaml import YAML

    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += newline
    tree = YAML(typ="rt", pure=True).load(text)
    places: list[tuple[int, str]] = [_repos_place(lines, tree, edit, newline)]
    first = min(tree.lc.key(key)[0] for key in tree)
    top = ""
    if edit.types and not edit.declared:
        top += f"{TYPES}: [{', '.join(edit.types)}]{newline}"
    if edit.stages:
        top += f"{STAGES}: [{', '.join(edit.stages)}]{newline}"
    if top:
        places.append((first, top))
    inserted = [piece for _, piece in places]
    if edit.types and edit.declared:
        inserted.append(_extend_types(lines, tree, edit, newline))
    for at, piece in sorted(places, reverse=True):
        lines.insert(at, piece)
    return "".join(lines), tuple(inserted)


def _repos_place(lines: list[str], tree: Any, edit: _Edit, newline: str) -> tuple[int, str]:
    """Return before which line our entry goes, and the entry. Raises ``ValueError`` where it cannot go."""
    repos = tree["repos"]
    key_line = tree.lc.key("repos")[0]
    if len(repos) == 0:
        cut = re.sub(r"^(repos:)\s*\[\s*\]", r"\1", lines[key_line])
        if cut == lines[key_line]:
            raise ValueError("repos")
        lines[key_line] = cut
        indent = 0
        after = key_line + 1
    else:
        if repos.fa.flow_style():
            raise ValueError("repos")
        line, column = repos.lc.item(0)
        indent = lines[line][:column].rindex("-")
        following = [tree.lc.key(key)[0] for key in tree if tree.lc.key(key)[0] > key_line]
        after = min(following, default=len(lines))
        while after > 0 and (not lines[after - 1].strip() or (following and lines[after - 1].startswith("#"))):
            after -= 1
    margin = " " * indent
    body = "".join(f"{margin}    {line}{newline}" for line in edit.hooks.splitlines())
    return after, f"{margin}- repo: local{newline}{margin}  hooks:{newline}{body}"


def _extend_types(lines: list[str], tree: Any, edit: _Edit, newline: str) -> str:
    """Add to the list of hook types in place (it keeps its number of lines) and return what was inserted."""
    types = tree[TYPES]
    if types.fa.flow_style() or not types:
        at = tree.lc.key(TYPES)[0]
        while "]" not in lines[at]:
            at += 1
        head, tail = lines[at].split("]", 1)
        kept = head.rstrip()
        comma = "" if kept.endswith((",", "[")) or not kept else ", "
        piece = comma + ", ".join(edit.types)
        lines[at] = kept + piece + "]" + tail
        return piece
    line, column = types.lc.item(len(types) - 1)
    prefix = lines[line][:column]
    if prefix.strip() != "-":
        raise ValueError(TYPES)
    piece = "".join(f"{prefix}{name}{newline}" for name in edit.types)
    lines[line] += piece
    return piece


def _rewritten(text: str, expected: dict[str, Any], edit: _Edit) -> str:
    """Return ruamel's round trip of the text with our additions: comments stay, indentation may change."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt", pure=True)
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    tree = yaml.load(text)
    tree["repos"].append(expected["repos"][-1])
    if edit.stages:
        tree.insert(0, STAGES, expected[STAGES])
    if edit.types and edit.declared:
        tree[TYPES].extend(edit.types)
    elif edit.types:
        tree.insert(0, TYPES, expected[TYPES])
    out = io.StringIO()
    yaml.dump(tree, out)
    return out.getvalue()
