"""What a caller sees of a Python function, class or attribute, in one spelling; and whether a difference breaks callers.

The objects are griffe's. Their annotations are spelled anew, so that ``Optional[int]``, ``"int | None"`` and
``typing.Union[int, None]`` are the same.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from loki_hooks.system.surface.python_source import Function, last_name, text_of

if TYPE_CHECKING:
    import griffe

MAX_VALUE = 200
"""Characters of a constant's value that are told; longer ones are tables, which documents do not repeat."""
_SPELLED = {"List": "list", "Dict": "dict", "Tuple": "tuple", "Set": "set", "FrozenSet": "frozenset", "Type": "type"}
_MODEL_BASES = frozenset({"BaseModel", "SQLModel", "Struct", "Schema"})
_FIELD_BASES = _MODEL_BASES | {"NamedTuple", "TypedDict"}
_FIELD_DECORATORS = frozenset({"dataclass", "define", "frozen", "mutable", "attrs", "attr.s", "dataclass_transform"})
_ENUM_BASES = frozenset({"Enum", "IntEnum", "StrEnum", "Flag", "IntFlag", "TextChoices", "IntegerChoices"})
SETTINGS_BASE = "BaseSettings"
_NO_DEFAULT = frozenset({"...", "PydanticUndefined", "MISSING"})


@dataclass(frozen=True)
class Field:
    """``annotation`` is spelled; ``default`` is '' where one must be given."""

    name: str
    annotation: str
    default: str
    keyword_only: bool

    def __str__(self) -> str:
        return f"{self.name}: {self.annotation}" + (f" = {self.default}" if self.default else "")


@dataclass(frozen=True)
class Shape:
    """``kind``: function, method, classmethod, staticmethod, property, attribute, instance (set in ``__init__``), class."""

    kind: str
    line: int
    text: str
    call: str = ""
    """A function's parameters and result; a class's constructor ('' where it is inherited from outside)."""
    is_async: bool = False
    manager: bool = False
    writable: bool = False
    overloads: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    fields: tuple[Field, ...] | None = None
    function: griffe.Function | None = None
    """Of a function, or a class's constructor: griffe compares their parameters."""


@dataclass(frozen=True)
class Marks:
    """What decorators and bodies say that griffe's model does not keep."""

    deprecated: bool = False
    manager: bool = False


NO_MARKS = Marks()
_WARNINGS = frozenset({"DeprecationWarning", "PendingDeprecationWarning", "FutureWarning"})


def marks_of(tree: ast.Module) -> dict[str, Marks]:
    """Return the marks of functions and classes by qualified name, of the whole tree (before bodies are taken out)."""
    found: dict[str, Marks] = {}
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


def _mark(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Marks:
    decorators = {last_name(d) for d in node.decorator_list}
    deprecated = "deprecated" in decorators
    if isinstance(node, Function):
        deprecated = deprecated or any(_warns(statement) for statement in node.body)
    first = node.body[0]
    if isinstance(first, ast.Expr) and ".. deprecated::" in (text_of(first.value) or ""):
        deprecated = True
    return Marks(deprecated, not decorators.isdisjoint({"contextmanager", "asynccontextmanager"}))


def _warns(statement: ast.stmt) -> bool:
    """Whether the statement says, whatever happens, that the function is deprecated."""
    if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)):
        return False
    call = statement.value
    return last_name(call) == "warn" and any(
        last_name(a) in _WARNINGS for a in (*call.args, *(k.value for k in call.keywords))
    )


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


def shapes_of(
    name: str, thing: griffe.Object, marks: Mapping[str, Marks], own_name: str, bases: Collection[griffe.Class] = ()
) -> Iterator[tuple[str, Shape]]:
    """Yield the qualified name and shape of a module's member, and of all public members of a class.

    ``name`` is what it is known by, ``own_name`` what it is called where it is defined (the key of ``marks``). ``bases`` are
    the private classes from which a class has more members.
    """
    mark = marks.get(own_name, NO_MARKS)
    if thing.is_function:
        yield name, _function(thing, "function", mark)  # type: ignore[arg-type]  # griffe narrows by property
    elif thing.is_class:
        yield from _class(name, thing, marks, own_name, bases)  # type: ignore[arg-type]
    elif thing.is_attribute:
        yield name, _attribute(thing, mark)  # type: ignore[arg-type]


def _class(
    name: str, cls: griffe.Class, marks: Mapping[str, Marks], own_name: str, bases: Collection[griffe.Class]
) -> Iterator[tuple[str, Shape]]:
    members: dict[str, griffe.Object | griffe.Alias] = {}
    for source in (*reversed(list(bases)), cls):
        members.update(source.members)
    base_texts = tuple(spelled(str(b)) for b in cls.bases)
    base_names = {b.rpartition(".")[2].partition("[")[0] for b in base_texts}
    fields = _fields(cls, base_names)
    initial = members.get("__init__") or members.get("__new__")
    call, function = "", None
    if initial is not None and not initial.is_alias and initial.is_function:
        function = initial
        call = _call(initial, skip_first=True).partition(" -> ")[0]  # type: ignore[arg-type]
    elif fields is None and not cls.bases:
        call = "()"
    shown = [b for b in base_texts if not b.rpartition(".")[2].startswith("_") and b != "object"]
    text = "class" + (f"({', '.join(shown)})" if shown else "") + (f" {call}" if call not in {"", "()"} else "")
    if fields is not None:
        text += " {" + "; ".join(map(str, fields)) + "}"
    mark = marks.get(own_name, NO_MARKS)
    yield (
        name,
        Shape(
            "class",
            cls.lineno or 1,
            _marked(text, mark),
            call,
            bases=tuple(shown),
            fields=fields,
            function=function,  # type: ignore[arg-type]
        ),
    )
    enum = bool(base_names & _ENUM_BASES)
    hidden = {f.name for f in fields} if fields is not None else set()
    for member, thing in members.items():
        if member.startswith("_") or thing.is_alias or member in hidden:
            continue
        inner, own = f"{name}.{member}", f"{own_name}.{member}"
        if thing.is_class:
            if member not in {"Config", "Meta"}:
                yield from _class(inner, thing, marks, own, ())  # type: ignore[arg-type]
        elif thing.is_function:
            kind = next((k for k in ("classmethod", "staticmethod") if k in thing.labels), "method")
            yield inner, _function(thing, kind, marks.get(own, NO_MARKS))  # type: ignore[arg-type]
        elif thing.is_attribute and not (member == "model_config" or SETTINGS_BASE in base_names):
            yield inner, _attribute(thing, marks.get(own, NO_MARKS), enum=enum)  # type: ignore[arg-type]


def _function(function: griffe.Function, kind: str, mark: Marks) -> Shape:
    bound = kind in {"method", "classmethod"}
    overloads = tuple(_call(o, skip_first=bound) for o in function.overloads or ())
    call = _call(function, skip_first=bound)
    is_async = "async" in function.labels
    text = " | ".join(overloads) if overloads else call
    words = [
        *(["async"] if is_async else []),
        *(["context manager"] if mark.manager else []),
        *([kind] if kind in {"classmethod", "staticmethod"} else []),
        *(["abstract"] if "abstractmethod" in function.labels else []),
    ]
    return Shape(
        kind,
        function.lineno or 1,
        _marked(" ".join([*words, text]), mark),
        call,
        is_async,
        mark.manager,
        overloads=overloads,
        function=function,
    )


def _call(function: griffe.Function, *, skip_first: bool) -> str:
    """Return the parameters and the result as one would write them, without the bound first parameter."""
    shown: list[str] = []
    seen_star = False
    last_kind = ""
    for number, p in enumerate(function.parameters):
        kind = str(p.kind.value) if p.kind else ""
        if number == 0 and skip_first and not kind.startswith("variadic"):
            continue
        if last_kind == "positional-only" and kind != "positional-only":
            shown.append("/")
        if kind == "keyword-only" and not seen_star:
            shown.append("*")
            seen_star = True
        stars = {"variadic positional": "*", "variadic keyword": "**"}.get(kind, "")
        seen_star = seen_star or stars == "*"
        text = stars + p.name + (f": {spelled(str(p.annotation))}" if p.annotation is not None else "")
        if p.default is not None and not stars:
            text += f" = {p.default}" if p.annotation is not None else f"={p.default}"
        shown.append(text)
        last_kind = kind
    if last_kind == "positional-only":
        shown.append("/")
    returns = f" -> {spelled(str(function.returns))}" if function.returns is not None else ""
    return f"({', '.join(shown)}){returns}"


def _attribute(attribute: griffe.Attribute, mark: Marks, *, enum: bool = False) -> Shape:
    labels = attribute.labels
    annotation = spelled(str(attribute.annotation)) if attribute.annotation is not None else ""
    if "property" in labels:
        writable = "writable" in labels
        text = "property" + (f" -> {annotation}" if annotation else "") + (", writable" if writable else "")
        return Shape("property", attribute.lineno or 1, _marked(text, mark), writable=writable)
    instance = labels == {"instance-attribute"} and attribute.value is not None
    value = "" if attribute.value is None else _value(attribute, annotation, enum=enum)
    if annotation in {"TypeAlias", "Final", "ClassVar"}:
        annotation = ""
    shown = ": ".join(["", annotation] if annotation else [""]) + (f" = {value}" if value else "")
    return Shape("instance" if instance else "attribute", attribute.lineno or 1, _marked(shown.strip(" :"), mark))


def _value(attribute: griffe.Attribute, annotation: str, *, enum: bool) -> str:
    text = str(attribute.value)
    if len(text) > MAX_VALUE or enum:
        return "…" if enum else ""
    name = attribute.name
    if annotation == "TypeAlias" or (not name.isupper() and name[:1].isupper()):
        return spelled(text)
    return text if _is_plain(text) else ""


@lru_cache(maxsize=5_000)
def _is_plain(text: str) -> bool:
    """Whether the value is made of literals alone: calls and names may be spelled in many ways for the same value."""
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return not any(
        isinstance(n, ast.Call | ast.Name | ast.Lambda | ast.comprehension | ast.JoinedStr) for n in ast.walk(tree)
    )


def _fields(cls: griffe.Class, base_names: set[str]) -> tuple[Field, ...] | None:
    """Return the fields of a dataclass or a class like one; None for any other class, and for settings (they are options)."""
    decorators = [str(d.value) for d in cls.decorators]
    named = [d.partition("(")[0] for d in decorators]
    made = [d for d, n in zip(decorators, named, strict=True) if {n, n.rpartition(".")[2]} & _FIELD_DECORATORS]
    if SETTINGS_BASE in base_names or not (made or base_names & _FIELD_BASES):
        return None
    all_keyword = bool(base_names & (_MODEL_BASES | {"TypedDict"})) or any(
        "kw_only=True" in d.replace(" ", "") for d in made
    )
    partial = any(str(v) == "False" for k, v in cls.keywords.items() if k == "total")
    fields = []
    keyword_only = all_keyword
    for name, member in cls.members.items():
        if name.startswith("_") or member.is_alias or not member.is_attribute:
            continue
        annotation = getattr(member, "annotation", None)
        labels = member.labels
        if annotation is None or "property" in labels or labels == {"class-attribute"}:
            continue
        fields.append(Field(name, spelled(str(annotation)), _default(member, partial=partial), keyword_only))  # type: ignore[arg-type]
    return tuple(sorted(fields, key=lambda f: f.name)) if all_keyword else tuple(fields)


def _default(member: griffe.Attribute, *, partial: bool) -> str:
    """Return the field's default as text; '' where there is none."""
    if member.value is None:
        return "…" if partial else ""
    text = str(member.value)
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text[:MAX_VALUE]
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2].lower() in {"field", "ib", "attrib"}:
        named = {k.arg: ast.unparse(k.value) for k in node.keywords}
        given = next((named[k] for k in ("default", "default_factory", "factory") if k in named), "")
        text = given or (ast.unparse(node.args[0]) if node.args else "")
        if "default_factory" in named or "factory" in named:
            text += "()"
    return "" if text in _NO_DEFAULT else text[:MAX_VALUE]


def _marked(text: str, mark: Marks) -> str:
    return f"deprecated {text}" if mark.deprecated else text


def breaks(old: Shape, new: Shape, incompatible: bool) -> bool:
    """Return whether callers of the old shape may fail with the new one.

    ``incompatible``: what griffe says of the parameters.
    """
    if old.kind != new.kind:
        return _kind_breaks(old, new)
    return (
        old.is_async != new.is_async
        or old.manager != new.manager
        or (old.writable and not new.writable)
        or (not set(old.overloads) <= set(new.overloads) if old.overloads and new.overloads else incompatible)
        or not {b.partition("[")[0] for b in old.bases} <= {b.partition("[")[0] for b in new.bases}
        or _fields_break(old.fields, new.fields)
        or (old.call == "()" and new.kind == "class" and new.function is not None and _has_required(new.function))
    )


def _kind_breaks(old: Shape, new: Shape) -> bool:
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
