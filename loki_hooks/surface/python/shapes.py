"""What a caller sees of a Python function, class or attribute, in one spelling. The objects are griffe's."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loki_hooks.surface.python.marks import NO_MARKS, DefinitionMarks
from loki_hooks.surface.python.spelling import literal, spelled

if TYPE_CHECKING:
    import griffe

MAX_VALUE = 200
"""Characters of a constant's value that are told; longer ones are tables, which documents do not repeat."""
_MODEL_BASES = frozenset({"BaseModel", "SQLModel", "Struct", "Schema"})
_FIELD_BASES = _MODEL_BASES | {"NamedTuple", "TypedDict"}
_FIELD_DECORATORS = frozenset({"dataclass", "define", "frozen", "mutable", "attrs", "attr.s", "dataclass_transform"})
_ENUM_BASES = frozenset({"Enum", "IntEnum", "StrEnum", "Flag", "IntFlag", "TextChoices", "IntegerChoices"})
_METADATA = frozenset({"version", "version_info", "author", "email", "date", "copyright", "revision", "build"})
"""Names whose value changes with each release, and says nothing about use."""
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
class ClassShape:
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
    family: tuple[str, ...] = ()
    """The bases with their own, as far as they are known."""
    fields: tuple[Field, ...] | None = None
    extends: bool = False
    """Its base class has it, too."""
    function: griffe.Function | None = None
    """Of a function, or a class's constructor: griffe compares their parameters."""


@dataclass(frozen=True)
class Base:
    """A known class that another derives from. ``gives``: its members count as the other's own (it is private)."""

    cls: griffe.Class
    gives: bool


def shapes_of(
    name: str, thing: griffe.Object, marks: Mapping[str, DefinitionMarks], own_name: str, bases: Collection[Base] = ()
) -> Iterator[tuple[str, ClassShape]]:
    """Yield the qualified name and shape of a module's member, and of all public members of a class.

    ``name`` is what it is known by, ``own_name`` what it is called where it is defined (the key of ``marks``). ``bases`` are
    the known classes that a class derives from.
    """
    mark = marks.get(own_name, NO_MARKS)
    if thing.is_function:
        yield name, _function(thing, "function", mark)  # type: ignore[arg-type]  # griffe narrows by property
    elif thing.is_class:
        yield from _class(name, thing, marks, own_name, bases)  # type: ignore[arg-type]
    elif thing.is_attribute:
        yield name, _attribute(thing, mark)  # type: ignore[arg-type]


def _class(
    name: str, cls: griffe.Class, marks: Mapping[str, DefinitionMarks], own_name: str, bases: Collection[Base]
) -> Iterator[tuple[str, ClassShape]]:
    members: dict[str, griffe.Object | griffe.Alias] = {}
    for source in (*(b.cls for b in reversed(list(bases)) if b.gives), cls):
        members.update(source.members)
    base_texts = tuple(spelled(str(b)) for b in cls.bases)
    family = {str(b) for c in (cls, *(b.cls for b in bases)) for b in c.bases}
    base_names = {b.partition("[")[0].rpartition(".")[2] for b in family}
    if any(b.endswith(SETTINGS_BASE) for b in base_names):
        base_names.add(SETTINGS_BASE)
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
        ClassShape(
            "class",
            cls.lineno or 1,
            _marked(text, mark),
            call,
            bases=tuple(shown),
            family=tuple(sorted(family)),
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


def _function(function: griffe.Function, kind: str, mark: DefinitionMarks) -> ClassShape:
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
    return ClassShape(
        kind,
        function.lineno or 1,
        _marked(" ".join([*words, text]), mark),
        call,
        is_async,
        mark.manager,
        overloads=overloads,
        extends=mark.extends,
        function=function,
    )


def _call(function: griffe.Function, *, skip_first: bool) -> str:
    """Return the parameters and the result as one would write them, without the bound first parameter.

    Those that go by keyword alone are sorted: to callers, they have no order.
    """
    by_kind: dict[str, list[str]] = {}
    for number, p in enumerate(function.parameters):
        kind = str(p.kind.value) if p.kind else ""
        if number or not skip_first or kind.startswith("variadic"):
            by_kind.setdefault(kind, []).append(_parameter(p, kind))
    first, last = by_kind.get("positional-only", []), sorted(by_kind.get("keyword-only", []))
    rest = by_kind.get("variadic positional", ["*"] if last else [])
    shown = [*first, *(["/"] if first else []), *by_kind.get("positional or keyword", []), *rest, *last]
    returns = f" -> {spelled(str(function.returns))}" if function.returns is not None else ""
    return f"({', '.join([*shown, *by_kind.get('variadic keyword', [])])}){returns}"


def _parameter(p: griffe.Parameter, kind: str) -> str:
    stars = {"variadic positional": "*", "variadic keyword": "**"}.get(kind, "")
    annotation = f": {spelled(str(p.annotation))}" if p.annotation is not None else ""
    if p.default is None or stars:
        return stars + p.name + annotation
    return f"{p.name}{annotation} = {p.default}" if annotation else f"{p.name}={p.default}"


def _attribute(attribute: griffe.Attribute, mark: DefinitionMarks, *, enum: bool = False) -> ClassShape:
    labels = attribute.labels
    annotation = spelled(str(attribute.annotation)) if attribute.annotation is not None else ""
    if "property" in labels:
        writable = "writable" in labels
        text = "property" + (f" -> {annotation}" if annotation else "") + (", writable" if writable else "")
        return ClassShape("property", attribute.lineno or 1, _marked(text, mark), writable=writable)
    instance = labels == {"instance-attribute"} and attribute.value is not None
    value = "" if attribute.value is None else _value(attribute, annotation, enum=enum)
    if annotation in {"TypeAlias", "Final", "ClassVar"}:
        annotation = ""
    shown = f"= {value}" if value else annotation  # a literal shows its type by itself
    return ClassShape("instance" if instance else "attribute", attribute.lineno or 1, _marked(shown, mark))


def _value(attribute: griffe.Attribute, annotation: str, *, enum: bool) -> str:
    """Return what of the value callers rely on: of an alias all, of a constant if it is made of literals."""
    if enum:
        return "…"
    text = str(attribute.value)
    name = attribute.name
    if len(text) > MAX_VALUE or name.strip("_").lower() in _METADATA:
        return ""
    if annotation == "TypeAlias" or (not name.isupper() and name[:1].isupper()):
        return spelled(text)
    return literal(text, "module-attribute" in attribute.labels and name.isupper())


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


def _marked(text: str, mark: DefinitionMarks) -> str:
    return f"deprecated {text}" if mark.deprecated else text
