"""What decorators and bodies say of a Python definition that griffe's model does not keep: deprecation, context managers."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from loki_hooks.surface.python.source import Function, last_name, text_of


@dataclass(frozen=True)
class DefinitionMarks:
    """What decorators and bodies say that griffe's model does not keep."""

    deprecated: bool = False
    manager: bool = False
    extends: bool = False
    """A method that calls the one of its base class which it overrides."""


NO_MARKS = DefinitionMarks()
_WARNINGS = frozenset({"DeprecationWarning", "PendingDeprecationWarning", "FutureWarning"})


def marks_of(tree: ast.Module) -> dict[str, DefinitionMarks]:
    """Return the marks of functions and classes by qualified name, of the whole tree (before bodies are taken out)."""
    found: dict[str, DefinitionMarks] = {}
    waiting: list[tuple[ast.AST, str]] = [(tree, "")]
    while waiting:
        node, prefix = waiting.pop()
        for block in ("body", "orelse", "handlers", "finalbody"):
            for child in getattr(node, block, ()):
                if isinstance(child, Function | ast.ClassDef):
                    name = prefix + child.name
                    mark = _mark(child)
                    if mark != NO_MARKS:
                        found[name] = mark
                    if isinstance(child, ast.ClassDef):
                        waiting.append((child, f"{name}."))
                elif isinstance(child, ast.If | ast.Try | ast.With | ast.ExceptHandler):
                    waiting.append((child, prefix))
    return found


def _mark(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> DefinitionMarks:
    decorators = {last_name(d) for d in node.decorator_list}
    deprecated = "deprecated" in decorators
    if isinstance(node, Function):
        deprecated = deprecated or any(_warns(statement) for statement in node.body)
    first = node.body[0]
    if isinstance(first, ast.Expr) and ".. deprecated::" in (text_of(first.value) or ""):
        deprecated = True
    manager = not decorators.isdisjoint({"contextmanager", "asynccontextmanager"})
    return DefinitionMarks(deprecated, manager, isinstance(node, Function) and _extends(node))


def _extends(function: Function) -> bool:
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == function.name
        and isinstance(node.value, ast.Call)
        and last_name(node.value) == "super"
        for statement in function.body
        for node in ast.walk(statement)
    )


def _warns(statement: ast.stmt) -> bool:
    """Whether the statement says, whatever happens, that the function is deprecated."""
    if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)):
        return False
    call = statement.value
    return last_name(call) == "warn" and any(
        last_name(a) in _WARNINGS for a in (*call.args, *(k.value for k in call.keywords))
    )
