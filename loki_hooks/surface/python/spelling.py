"""One spelling for Python annotations and values, whatever was imported how, quoted or bracketed.

``Optional[int]``, ``"int | None"`` and ``typing.Union[int, None]`` are the same.
"""

from __future__ import annotations

import ast
import builtins
import collections
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

_LOWER = ("List", "Dict", "Tuple", "Set", "FrozenSet", "Type", "DefaultDict", "Deque")
_ABSTRACT = ("ContextManager", "AsyncContextManager")
_SPELLED = {name: name.lower() for name in _LOWER} | {name: f"Abstract{name}" for name in _ABSTRACT} | {"Text": "str"}
"""What typing once called otherwise."""


@lru_cache(maxsize=20_000)
def spelled(annotation: str) -> str:
    """Return the annotation in one spelling, by the last names of what it names."""
    try:
        tree = ast.parse(annotation, mode="eval").body
        return ast.unparse(_Speller().visit(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return annotation


class _Speller(ast.NodeTransformer):
    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        return self.visit_Name(ast.Name(node.attr, ast.Load()))

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Name(_SPELLED.get(node.id, node.id), ast.Load())

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if not isinstance(node.value, str):
            return node
        try:
            inner = ast.parse(node.value.strip(), mode="eval").body
        except (SyntaxError, ValueError):
            return node
        visited: ast.expr = self.visit(inner)
        return visited

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        name = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
        if name in {"Literal", "Annotated"}:
            node.value = ast.Name(name, ast.Load())
            if name == "Annotated" and isinstance(node.slice, ast.Tuple) and node.slice.elts:
                node.slice.elts[0] = self.visit(node.slice.elts[0])
            return node
        self.generic_visit(node)
        if name in {"Union", "Optional"}:
            parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            if name == "Optional":
                parts = [*parts, ast.Constant(None)]
            return self._joined(parts)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        return self._joined([node.left, node.right]) if isinstance(node.op, ast.BitOr) else node

    def _joined(self, parts: Iterable[ast.expr]) -> ast.expr:
        """Return the alternatives as one chain of bars, in the order of their names: a union has none of its own."""
        flat: dict[str, ast.expr] = {}
        waiting = list(parts)[::-1]
        while waiting:
            part = waiting.pop()
            if isinstance(part, ast.BinOp) and isinstance(part.op, ast.BitOr):
                waiting += [part.right, part.left]
            else:
                flat[ast.unparse(part)] = part
        first, *rest = (flat[key] for key in sorted(flat, key=lambda key: (key == "None", key)))
        for part in rest:
            first = ast.BinOp(first, ast.BitOr(), part)
        return first


@lru_cache(maxsize=5_000)
def literal(text: str, collections: bool) -> str:
    """Return the value in one spelling where it is a literal (a list or the like only with ``collections``), else ''.

    Calls and names may be spelled in many ways for the same value; tables are what frameworks are set up by.
    """
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    if collections and isinstance(node, ast.List | ast.Tuple | ast.Set):
        node = ast.List(node.elts, ast.Load())
    plain = (
        ast.Constant,
        ast.UnaryOp,
        ast.BinOp,
        ast.operator,
        ast.unaryop,
        *((ast.List, ast.Load) if collections else ()),
    )
    return ast.unparse(node) if all(isinstance(n, plain) for n in ast.walk(node)) else ""


def written_out(text: str, aliases: Mapping[str, str]) -> str:
    """Return what a caller sees of a function or value (its shape's text) with the aliases in it as what they stand for."""
    head, paren, rest = text.partition("(")
    source = f"def it({rest}: ..." if paren else f"x: {text}"
    try:
        (node,) = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text
    for inner in ast.walk(node):
        for name in ("annotation", "returns"):
            kind = getattr(inner, name, None)
            if isinstance(kind, ast.expr):
                for _ in range(_DEPTH):
                    kind = _Writer(aliases).visit(kind)
                setattr(inner, name, ast.parse(spelled(ast.unparse(kind)), mode="eval").body)
    return head + ast.unparse(node)


class _Writer(ast.NodeTransformer):
    def __init__(self, aliases: Mapping[str, str]) -> None:
        self._aliases = aliases

    def visit_Name(self, node: ast.Name) -> ast.expr:
        text = self._aliases.get(node.id)
        return ast.parse(text, mode="eval").body if text is not None and node.id not in text else node


def same_but_for_annotations(old: str, new: str) -> bool:
    """Return whether two calls differ in nothing but that one is annotated where the other is not, or says less precisely."""
    one, other = _signature(old), _signature(new)
    if one is None or other is None:
        return False
    names = one.args, other.args
    if ast.dump(_bare(one)) != ast.dump(_bare(other)):
        return False
    pairs = zip(*([*map(_annotation, _every(args)), kind] for args, kind in zip(names, (one.returns, other.returns), strict=True)),
                strict=True)  # fmt: skip
    return all(_compatible(a, b) for a, b in pairs)


def _signature(text: str) -> ast.FunctionDef | None:
    at = text.find("(")
    if " (" in text and text.startswith("class("):
        at = text.index(" (") + 1
    try:
        (node,) = ast.parse(f"def it{text[at:]}: ...").body if at >= 0 else (None,)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return node if isinstance(node, ast.FunctionDef) else None


def _every(args: ast.arguments) -> list[ast.arg]:
    return [a for a in (*args.posonlyargs, *args.args, args.vararg, *args.kwonlyargs, args.kwarg) if a is not None]


def _annotation(arg: ast.arg) -> ast.expr | None:
    return arg.annotation


def _bare(node: ast.FunctionDef) -> ast.FunctionDef:
    copied = ast.parse(ast.unparse(node)).body[0]
    assert isinstance(copied, ast.FunctionDef)
    copied.returns = None
    for arg in _every(copied.args):
        arg.annotation = None
    return copied


def _compatible(one: ast.expr | None, other: ast.expr | None) -> bool:
    """Whether an annotation is missing, or is the other without what is between its brackets."""
    if one is None or other is None:
        return True
    a, b = ast.unparse(one), ast.unparse(other)
    if a == b or "Any" in (a, b) or ("Self" in (a, b) and (a + b).isidentifier()):
        return True
    if bool(_BRACKETS.search(a)) == bool(_BRACKETS.search(b)):
        return False
    return _without_brackets(a) == _without_brackets(b)


_BRACKETS = re.compile(r"\[[^\[\]]*\]")


def _without_brackets(text: str) -> str:
    while (shorter := _BRACKETS.sub("", text)) != text:
        text = shorter
    return text


WORD = re.compile(r"\w+")
_DEPTH = 3
"""Aliases of aliases."""
_STANDARD = {"OrderedDict": collections.OrderedDict, "defaultdict": collections.defaultdict, "Counter": collections.Counter,
             "UserDict": collections.UserDict, "UserList": collections.UserList, "deque": collections.deque,
             "Mapping": collections.abc.Mapping, "MutableMapping": collections.abc.MutableMapping,
             "Sequence": collections.abc.Sequence, "MutableSequence": collections.abc.MutableSequence,
             "Set": collections.abc.Set, "MutableSet": collections.abc.MutableSet}  # fmt: skip


def has_member(base: str, member: str) -> bool:
    """Return whether a base class is one of Python's own that has the member."""
    name = base.partition("[")[0].rpartition(".")[2]
    found = _STANDARD.get(name) or getattr(builtins, name, None)
    return isinstance(found, type) and found is not object and hasattr(found, member)
