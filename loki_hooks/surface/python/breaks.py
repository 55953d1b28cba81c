"""Whether callers of a Python function, class or attribute may fail with its newer shape."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from loki_hooks.surface.python.shapes import ClassShape, Field

if TYPE_CHECKING:
    import griffe


def breaks(old: ClassShape, new: ClassShape, incompatible: bool) -> bool:
    """Return whether callers of the old shape may fail with the new one.

    ``incompatible``: what griffe says of the parameters.
    """
    if old.kind != new.kind:
        return _kind_breaks(old, new)
    return (
        old.is_async != new.is_async
        or old.manager != new.manager
        or (old.writable and not new.writable)
        or (
            not all(_covered(o, new.overloads) for o in old.overloads)
            if old.overloads and new.overloads
            else incompatible
        )
        or (not _may_be_none(old.call) and _may_be_none(new.call))
        or not {b.partition("[")[0] for b in old.bases} <= {b.partition("[")[0] for b in (*new.bases, *new.family)}
        or _fields_break(old.fields, new.fields)
        or (old.call == "()" and new.kind == "class" and new.function is not None and _has_required(new.function))
    )


def _covered(overload: str, others: Collection[str]) -> bool:
    """Return whether one of the other ways to call takes all that the overload takes (by name, and by each type of a union)."""
    if overload in others:
        return True
    taken = _types(overload)
    for other in others:
        offered = _types(other)
        if taken and all(
            name in offered and (not offered[name] or types <= offered[name]) for name, types in taken.items()
        ):
            return True
    return False


def _types(call: str) -> dict[str, set[str]]:
    """Return parameter → the types that it takes; none where it takes any."""
    try:
        (function,) = ast.parse(f"def it{call}: ...").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    assert isinstance(function, ast.FunctionDef)
    args = function.args
    annotated = {
        a.arg: set(ast.unparse(a.annotation).split(" | ")) if a.annotation else set()
        for a in (*args.posonlyargs, *args.args, *args.kwonlyargs)
    }
    return {name: set() if types & {"Any", "object"} else types for name, types in annotated.items()}


def _may_be_none(call: str) -> bool:
    """Return whether the result may be nothing; so may one that is not annotated."""
    kinds = call.rpartition(" -> ")[2] if " -> " in call else "None"
    return "None" in kinds.split(" | ")


def _kind_breaks(old: ClassShape, new: ClassShape) -> bool:
    kinds = (old.kind, new.kind)
    if kinds in {("method", "staticmethod"), ("method", "classmethod"), ("staticmethod", "classmethod")}:
        return old.call != new.call or old.is_async != new.is_async
    return kinds not in {("attribute", "property"), ("property", "attribute"), ("classmethod", "staticmethod")}


def _has_required(function: griffe.Function) -> bool:
    return any(p.required for p in list(function.parameters)[1:])


def _fields_break(old: tuple[Field, ...] | None, new: tuple[Field, ...] | None) -> bool:
    if old is None or new is None:
        return old != new and old is not None
    there = {f.name: f for f in new}
    before = {f.name for f in old}
    if any(f.name not in there or (f.default and not there[f.name].default) for f in old):
        return True
    if any(f.name not in before and not f.default for f in new):
        return True
    ordered = [f.name for f in old if not f.keyword_only]
    return ordered != [f.name for f in new][: len(ordered)]


def incompatible(pairs: Mapping[str, tuple[griffe.Function, griffe.Function, bool]]) -> set[str]:
    """Return which pairs (old, new, whether the first parameter is bound) griffe finds incompatible.

    Another default, or a result that is no longer annotated, breaks no call: these findings of griffe are left out.
    """
    import griffe

    lenient = {griffe.BreakageKind.PARAMETER_CHANGED_DEFAULT, griffe.BreakageKind.RETURN_CHANGED_TYPE}
    old_shell, new_shell = griffe.Module("old"), griffe.Module("new")
    found: set[str] = set()
    for name, (old, new, bound) in pairs.items():
        old.public = new.public = True
        old_shell.members = {"it": old}
        new_shell.members = {"it": new}
        first = {next((p.name for p in f.parameters), "") for f in (old, new)} if bound else set()
        for breakage in griffe.find_breaking_changes(old_shell, new_shell):
            parameter = breakage.old_value if breakage.old_value is not None else breakage.new_value
            if breakage.kind not in lenient and getattr(parameter, "name", "") not in first:
                found.add(name)
    return found
