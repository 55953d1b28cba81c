"""The public surface of a Python module, from its syntax tree: what a document may have promised."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """``trigger`` is ``added``, ``removed`` or ``changed``; ``line`` is in the newer file (the older for removed)."""

    trigger: str
    symbol: str
    line: int


def surface(source: str) -> dict[str, tuple[str, int]] | None:
    """Return public name → (what a caller sees of it, line), methods as ``Class.method``; None when it is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return {name: (seen, line) for name, seen, line in _names(tree.body, "")}


def _names(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, str, int]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _public(node.name):
            returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
            marks = " ".join(sorted(ast.unparse(d) for d in node.decorator_list))
            sync = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
            yield f"{prefix}{node.name}", f"{marks} {sync}def({ast.unparse(node.args)}){returns}", node.lineno
        elif isinstance(node, ast.ClassDef) and _public(node.name):
            bases = ", ".join(ast.unparse(b) for b in node.bases)
            yield f"{prefix}{node.name}", f"class({bases})", node.lineno
            yield from _names(node.body, f"{prefix}{node.name}.")


def _public(name: str) -> bool:
    return not name.startswith("_") or name == "__init__"


def compare(before: str, after: str) -> list[Change] | None:
    """Return what changed of the public surface; None when either side cannot be parsed."""
    old, new = surface(before), surface(after)
    if old is None or new is None:
        return None
    changes = [Change("removed", name, line) for name, (_, line) in old.items() if name not in new]
    for name, (seen, line) in new.items():
        if name not in old:
            changes.append(Change("added", name, line))
        elif old[name][0] != seen:
            changes.append(Change("changed", name, line))
    return changes
