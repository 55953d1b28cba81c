"""A Python file, parsed once: what it imports, how its definitions are marked, and its tree without the bodies of functions.

Modules are named by their whole path in the repository (``src.pkg.core``); an absolute import is matched with the end of
that name, so that no assumption is needed about where packages begin.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from loki_hooks.surface.python.newer import parse_newer, without_alias_statements

MAX_DEPTH = 60
"""Of nested expressions, each of which costs a reader several calls."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Imports:
    """``names``: local name → dotted target; ``stars``: modules of which everything is imported.

    ``local`` are those inside functions. A name imported for type checkers only is in ``typing_only``, too.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    stars: tuple[str, ...] = ()
    local: Mapping[str, str] = field(default_factory=dict)
    typing_only: frozenset[str] = frozenset()
    explicit: frozenset[str] = frozenset()
    """Names imported as themselves (``import x as x``), which is how a module says that it re-exports them."""
    lines: Mapping[str, int] = field(default_factory=dict)

    def full(self, dotted: str) -> str:
        """Return the dotted name with its first part as it was imported (itself where it was not)."""
        head, dot, rest = dotted.partition(".")
        return self.names.get(head, self.local.get(head, head)) + dot + rest


@dataclass(frozen=True)
class Module:
    path: str
    imports: Imports
    tree: ast.Module
    """Without the bodies of functions (but that of ``__init__``), and without what runs only as a program."""
    used: frozenset[str] = frozenset()
    """Of a package's ``__init__`` that defines something: the names that its own code needs, so imports of them hand nothing on."""
    lazy: frozenset[str] = frozenset()
    """What the module's ``__getattr__`` may answer to: the texts of the module, where it has one."""

    @property
    def is_package(self) -> bool:
        return PurePosixPath(self.path).stem == "__init__"

    @cached_property
    def dotted(self) -> str:
        return dotted_name(self.path)


def dotted_name(path: str) -> str:
    """Return the module's name by its path: ``src/pkg/__init__.py`` is ``src.pkg``."""
    parts = PurePosixPath(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def parse(text: str) -> ast.Module | str:
    """Return the syntax tree, or why there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the analysed code, and none of our user's business
            return without_alias_statements(ast.parse(text.removeprefix("\ufeff")))
    except SyntaxError as error:
        if (tree := parse_newer(text.removeprefix("\ufeff"))) is not None:
            return tree
        said = (error.msg or "")[:80]
        return f"no valid Python: {said} (line {error.lineno})" if error.lineno else f"no valid Python: {said}"
    except (ValueError, OverflowError):
        return "no valid Python: it has a NUL or a number that is too long"
    except (RecursionError, MemoryError):
        return "nested too deeply"


class Modules:
    """The parsed files of one side, found by the names that others import them by."""

    def __init__(self, modules: Iterable[Module]) -> None:
        self.by_path = {m.path: m for m in modules}
        self._by_end: dict[str, list[Module]] = {}
        for module in self.by_path.values():
            parts = module.dotted.split(".")
            for start in range(len(parts)):
                self._by_end.setdefault(".".join(parts[start:]), []).append(module)

    def find(self, dotted: str, near: str) -> tuple[Module, str] | None:
        """Return the module that the dotted name leads to and what remains of the name; the nearest to the path ``near``."""
        name, rest = dotted, ""
        while name:
            if found := self._by_end.get(name):
                return max(found, key=lambda m: (m.dotted == name, _common(m.path, near), m.path.endswith("i"))), rest
            name, _, last = name.rpartition(".")
            rest = f"{last}.{rest}" if rest else last
        return None


def _common(one: str, other: str) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def imports_of(tree: ast.Module, path: str) -> Imports:
    """Return what the module imports, relative names made absolute."""
    package = dotted_name(path).split(".")
    if PurePosixPath(path).stem != "__init__":
        package = package[:-1]
    names: dict[str, str] = {}
    local: dict[str, str] = {}
    stars: list[str] = []
    typing_only: set[str] = set()
    explicit: set[str] = set()
    lines: dict[str, int] = {}
    for node, inside, guarded in _import_nodes(tree):
        for alias in node.names:
            target = alias.name
            if isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else []
                target = ".".join([*base, *([node.module] if node.module else []), alias.name])
            if alias.name == "*":
                stars += [] if inside else [target.removesuffix(".*")]
                continue
            name = alias.asname or (alias.name.partition(".")[0] if isinstance(node, ast.Import) else alias.name)
            if isinstance(node, ast.Import) and not alias.asname:
                target = name
            (local if inside else names).setdefault(name, target)
            if not inside:
                lines.setdefault(name, node.lineno)
                typing_only |= {name} if guarded else set()
                explicit |= {name} if alias.asname == alias.name else set()
    return Imports(names, tuple(stars), local, frozenset(typing_only), frozenset(explicit), lines)


def _import_nodes(tree: ast.Module) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool, bool]]:
    """Yield each import: whether it is inside of a function, whether it is for type checkers only."""
    waiting: list[tuple[ast.AST, bool, bool]] = [(tree, False, False)]
    while waiting:
        node, inside, guarded = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, inside, guarded
            continue
        inside = inside or isinstance(node, Function | ast.ClassDef)
        if isinstance(node, ast.If) and last_name(node.test) == "TYPE_CHECKING":
            waiting += [(n, inside, True) for n in node.body] + [(n, inside, guarded) for n in node.orelse]
            continue
        for block in ("body", "orelse", "handlers", "finalbody", "cases"):
            waiting += [(n, inside, guarded) for n in getattr(node, block, ()) if isinstance(n, ast.AST)]


def needs(tree: ast.Module, path: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return what a :class:`Module` says as ``used`` and ``lazy`` (of the whole tree)."""
    own = {node.name for node in tree.body if isinstance(node, Function | ast.ClassDef)}
    used: frozenset[str] = frozenset()
    if own and PurePosixPath(path).stem == "__init__":
        used = frozenset(n.id for n in ast.walk(tree) if isinstance(n, ast.Name))
    lazy = frozenset(text for n in ast.walk(tree) if (text := text_of(n))) if "__getattr__" in own else frozenset()
    return used, lazy


def prune(tree: ast.Module) -> ast.Module:
    """Take out, in place, what is no part of the surface: bodies of functions, and what runs only as a program.

    An import goes, too, where the module defines the same name (a fallback): Griffe would look for the import's target.
    """
    blocks: list[list[ast.stmt]] = []
    defined: set[str] = set()
    waiting: list[tuple[ast.AST, bool]] = [(tree, True)]
    while waiting:
        node, at_top = waiting.pop()
        for name in ("body", "orelse", "handlers", "finalbody"):
            block = getattr(node, name, None)
            if not isinstance(block, list):
                continue
            block[:] = [n for n in block if not _is_program(n)]
            blocks += [block] if at_top else []
            for child in block:
                if isinstance(child, ast.Assign | ast.AnnAssign) and child.value is not None and too_deep(child.value):
                    child.value = ast.copy_location(ast.Constant(...), child.value)
                if isinstance(child, Function | ast.ClassDef):
                    defined |= {child.name} if at_top else set()
                if isinstance(child, Function) and child.name != "__init__":
                    child.body = [ast.copy_location(ast.Pass(), child)]
                elif isinstance(child, ast.ClassDef | ast.If | ast.Try | ast.With | ast.ExceptHandler):
                    waiting.append((child, at_top and not isinstance(child, ast.ClassDef)))
    for block in blocks:
        for statement in block:
            if isinstance(statement, ast.ImportFrom):
                statement.names = [a for a in statement.names if (a.asname or a.name) not in defined]
    return tree


def too_deep(tree: ast.AST) -> bool:
    """Return whether expressions are nested deeper than what recursive readers stand."""
    waiting: list[tuple[ast.AST, int]] = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_DEPTH:
            return True
        waiting += [(child, depth + 1) for child in ast.iter_child_nodes(node)]
    return False


def _is_program(node: ast.AST) -> bool:
    """Whether the statement is ``if __name__ == "__main__":``."""
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Compare)
        and isinstance(node.test.left, ast.Name)
        and node.test.left.id == "__name__"
    )


def last_name(node: ast.AST | None) -> str:
    """Return the last name of ``a.b.c``, called or subscripted or not; '' for anything else."""
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def dotted(node: ast.AST | None) -> str:
    """Return ``a.b.c`` as text; '' where it is anything but names and dots."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def text_of(node: ast.AST | None) -> str | None:
    """Return the text of a string literal; None for anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def keyword(call: ast.Call, *names: str) -> ast.expr | None:
    """Return the value of the first of the keyword arguments that the call has."""
    return next((k.value for name in names for k in call.keywords if k.arg == name), None)
