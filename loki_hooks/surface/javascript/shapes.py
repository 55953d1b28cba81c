"""The shapes of JavaScript's and TypeScript's declarations: functions, classes, interfaces, enums, aliases, constants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from loki_hooks.surface.shape import Param, Shape, marked
from loki_hooks.surface.spelling import spell
from loki_hooks.surface.syntax import Syntax

ROUTES = frozenset({"Get", "Post", "Put", "Delete", "Patch", "Options", "Head", "All", "Sse"})
"""A method under one of these decorators is reached over HTTP, not called."""
INJECTED = frozenset({"Controller", "Injectable", "Module", "Resolver", "Component", "Directive", "Pipe", "Catch"})
"""A class under one of these decorators is made by its framework: nobody else calls its constructor."""
CALLED = ("function_declaration", "generator_function_declaration", "function_signature", "arrow_function",
          "function_expression", "generator_function")  # fmt: skip
CLASSES = ("class_declaration", "abstract_class_declaration", "class")
_LITERALS = frozenset({"number", "string", "true", "false", "null", "unary_expression"})
_WRAPPED = ("as_expression", "satisfies_expression", "parenthesized_expression")


@dataclass(frozen=True)
class MemberEntry:
    """One public name of a declaration: ``suffix`` is '' for itself and ``.get`` for a member."""

    suffix: str
    shape: Shape
    line: int


def entries(node: Syntax, about: Syntax | None = None) -> list[MemberEntry]:
    """Return what a declaration or a value offers; what is said of it (``@deprecated``) stands above ``about``."""
    about = about or node
    if _is_internal(about):
        return []
    found = _entries(node, about)
    return [replace(e, shape=marked(e.shape, *_said(about))) if not e.suffix else e for e in found]


def _entries(node: Syntax, about: Syntax) -> list[MemberEntry]:
    if node.kind in CALLED:
        return [MemberEntry("", function(node), about.line)]
    if node.kind in CLASSES:
        return _class(node, about)
    match node.kind:
        case "interface_declaration":
            return _interface(node, node.get("body"), about)
        case "type_alias_declaration":
            value = node.get("value")
            if value is not None and value.kind == "object_type":
                return _interface(node, value, about)
            return [
                MemberEntry(
                    "", Shape("type", generics=spell(node.get("type_parameters")), type=spell(value)), about.line
                )
            ]
        case "enum_declaration":
            return [MemberEntry("", Shape("enum"), about.line), *_enum_members(node)]
        case "object":
            return [MemberEntry("", Shape("constant"), about.line), *_object_methods(node)]
        case kind if kind in _WRAPPED and node.parts:
            return [MemberEntry("", Shape("constant", value=_literal(node.parts[0])), about.line)]
        case _:
            return [MemberEntry("", Shape("constant", value=_literal(node)), about.line)]


def variable(declarator: Syntax, about: Syntax) -> list[MemberEntry]:
    """Return what ``name: type = value`` offers."""
    value, kind = declarator.get("value"), annotation(declarator.get("type"))
    while value is not None and value.kind == "assignment_expression":
        value = value.get("right")
    if value is None:
        return (
            []
            if _is_internal(about)
            else [MemberEntry("", marked(Shape("constant", type=kind), *_said(about)), about.line)]
        )
    return [
        replace(e, shape=replace(e.shape, type=kind)) if e.shape.kind == "constant" and not e.suffix else e
        for e in entries(value, about)
    ]


def function(node: Syntax, *marks: str) -> Shape:
    result = annotation(node.get("return_type"))
    words = [*marks, *(["async"] if node.has("async") or result.startswith("Promise<") else [])]
    if "generator" in node.kind and not result:
        words.append("generator")
    single = node.get("parameter")  # x => …
    listed = tuple(_params(node.get("parameters"))) if single is None else (Param(single.text),)
    return Shape("function", frozenset(words), spell(node.get("type_parameters")), listed, result)


def called_type(node: Syntax, *marks: str) -> Shape:
    """Return the shape of a property that holds a function: to callers it is as a method."""
    result = spell(node.get("return_type"))
    words = [*marks, *(["async"] if result.startswith("Promise<") else [])]
    return Shape(
        "function", frozenset(words), spell(node.get("type_parameters")), tuple(_params(node.get("parameters"))), result
    )


def _function_type(kind: Syntax | None) -> Syntax | None:
    """Return the function type that an annotation is, in brackets or not."""
    at = kind.parts[0] if kind is not None and kind.parts else None
    while at is not None and at.kind == "parenthesized_type" and at.parts:
        at = at.parts[0]
    return at if at is not None and at.kind == "function_type" else None


def annotation(node: Syntax | None) -> str:
    """Return the type of a ``: type``."""
    return spell(node.parts[0]) if node is not None and node.parts else ""


def _params(node: Syntax | None) -> Iterator[Param]:
    for child in node.parts if node is not None else []:
        pattern, default, kind = child, None, None
        if child.kind in ("required_parameter", "optional_parameter"):
            inner = child.get("pattern")
            if inner is None or inner.kind == "this":
                continue
            pattern, default, kind = inner, child.get("value"), child.get("type")
        elif child.kind == "assignment_pattern":
            pattern, default = child.get("left") or child, child.get("right")
        optional = default is not None or child.kind == "optional_parameter"
        yield from _param(pattern, kind, spell(default), optional)


def _param(pattern: Syntax, kind: Syntax | None, default: str, optional: bool) -> Iterator[Param]:
    inline = kind.parts[0] if kind is not None and kind.parts and kind.parts[0].kind == "object_type" else None
    if pattern.kind == "rest_pattern":
        yield Param(pattern.parts[0].text if pattern.parts else "", annotation(kind), rest=True)
    elif pattern.kind != "object_pattern":
        yield Param(spell(pattern), annotation(kind), default, optional)
    elif inline is not None:
        defaults = {p.name: p.default for p in _keys(pattern, optional)}
        for member in inline.all("property_signature"):
            name = member.word("name")
            value = defaults.get(name, "")
            yield Param(
                name, annotation(member.get("type")), value, optional or member.has("?") or bool(value), keyword=True
            )
    elif kind is not None:
        told = ", ".join(f"{p.name} = {p.default}" for p in _keys(pattern, optional) if p.default)
        yield Param(f"{{{told}}}", annotation(kind), default, optional)
    else:
        yield from _keys(pattern, optional)


def _keys(pattern: Syntax, optional: bool) -> Iterator[Param]:
    """Yield the keys that ``{ a, b = 1, c: d }`` takes out of an object, each as a caller names it."""
    for part in pattern.parts:
        value = part.get("value") if part.kind == "pair_pattern" else part
        key = part.word("key") if part.kind == "pair_pattern" else part.word("left") or part.text
        if part.kind == "rest_pattern":
            yield Param(part.parts[0].text if part.parts else "", keyword=True, rest=True)
        elif value is not None and value.kind in ("object_assignment_pattern", "assignment_pattern"):
            yield Param(key, default=spell(value.get("right")), optional=True, keyword=True)
        else:
            yield Param(key, optional=optional, keyword=True)


def _class(node: Syntax, about: Syntax) -> list[MemberEntry]:
    heritage = node.of("class_heritage")
    bases = tuple(_bases(heritage)) if heritage is not None else ()
    body = node.get("body")
    members = list(_class_members(body)) if body is not None else []
    built = [e for e in members if e.suffix == ".constructor"]
    params = built[-1].shape.params if built else None if bases else ()
    if INJECTED & set(map(decorator_name, decorators_of(node))):
        params = None
    marks = {*(["abstract"] if node.kind.startswith("abstract") else []), *(m for e in built for m in e.shape.marks)}
    shape = Shape("class", frozenset(marks), spell(node.get("type_parameters")), params, bases=bases)
    return [MemberEntry("", shape, about.line), *_accessors(e for e in members if e.suffix != ".constructor")]


def decorators_of(node: Syntax) -> list[Syntax]:
    """Return a class's decorators, which may stand before its ``export``."""
    around = node.parent
    before = around.all("decorator") if around is not None and around.kind == "export_statement" else []
    return [*before, *node.all("decorator")]


def _bases(heritage: Syntax) -> Iterator[str]:
    clauses = heritage.all("extends_clause", "implements_clause")
    if not clauses:  # JavaScript: `extends` and an expression
        yield from (spell(part) for part in heritage.parts)
    for clause in clauses:
        if clause.kind == "extends_clause":
            yield "".join(map(spell, clause.parts))
        else:
            yield from map(spell, clause.parts)


def _class_members(body: Syntax) -> Iterator[MemberEntry]:
    declared = {member.word("name") for member in body.all("method_signature")}
    decorators: list[str] = []
    for member in body.parts:
        if member.kind == "decorator":
            decorators.append(decorator_name(member))
            continue
        taken, decorators = decorators, []
        if ROUTES & {*taken, *map(decorator_name, member.all("decorator"))}:
            continue
        name = name_of(member)
        yield from _properties(member, name)
        overloaded = member.kind == "method_definition" and name in declared
        if name and not overloaded and (name == "constructor" or not _hidden(member, name)):
            yield from _member(member, name)


def _member(member: Syntax, name: str) -> Iterator[MemberEntry]:
    access = member.of("accessibility_modifier")
    marks = [word for word in ("static", "readonly", "abstract") if member.has(word)]
    if member.kind == "abstract_method_signature":
        marks.append("abstract")
    if access is not None and access.text == "protected":
        marks.append("protected")
    if access is not None and access.text == "private":
        marks.append("closed")  # only a constructor comes here: nobody else can call it
    marks += _said(member)
    value = member.get("value")
    if member.kind in ("method_definition", "abstract_method_signature", "method_signature"):
        if member.has("get", "set"):
            kind = annotation(member.get("return_type"))
            marks += ["readonly"] if member.has("get") else ["writeonly"]
            yield MemberEntry(f".{name}", Shape("field", frozenset(marks), type=kind), member.line)
        else:
            yield MemberEntry(f".{name}", function(member, *marks, *_optional(member)), member.line)
    elif member.kind in ("public_field_definition", "field_definition"):
        if value is not None and value.kind in CALLED:
            yield MemberEntry(f".{name}", function(value, *marks), member.line)
        elif value is None and (called := _function_type(member.get("type"))) is not None:
            yield MemberEntry(f".{name}", called_type(called, *marks, *_optional(member)), member.line)
        else:
            marks += _optional(member)
            yield MemberEntry(
                f".{name}", Shape("field", frozenset(marks), type=annotation(member.get("type"))), member.line
            )


def _properties(member: Syntax, name: str) -> Iterator[MemberEntry]:
    """Yield the fields that a constructor declares by ``constructor(public name: string)``."""
    parameters = member.get("parameters") if name == "constructor" else None
    for param in parameters.parts if parameters is not None else []:
        access = param.of("accessibility_modifier")
        public = access.text == "public" if access is not None else param.has("readonly")
        pattern = param.get("pattern")
        if public and pattern is not None and pattern.kind == "identifier" and not pattern.text.startswith("_"):
            marks = frozenset(["readonly"] if param.has("readonly") else [])
            yield MemberEntry(f".{pattern.text}", Shape("field", marks, type=annotation(param.get("type"))), param.line)


def _accessors(found: Iterable[MemberEntry]) -> list[MemberEntry]:
    """Return the entries with a getter and its setter as one field, and overloads in the order of the text."""
    out: dict[str, MemberEntry] = {}
    several: list[MemberEntry] = []
    for entry in found:
        there = out.get(entry.suffix)
        if there is not None and there.shape.kind == entry.shape.kind == "field":
            kind = there.shape.type or entry.shape.type
            marks = (there.shape.marks | entry.shape.marks) - {"readonly", "writeonly"}
            out[entry.suffix] = replace(there, shape=replace(there.shape, marks=marks, type=kind))
        elif there is not None:
            several.append(entry)
        else:
            out[entry.suffix] = entry
    return [*out.values(), *several]


def _interface(node: Syntax, body: Syntax | None, about: Syntax) -> list[MemberEntry]:
    extends = node.of("extends_type_clause")
    bases = tuple(map(spell, extends.parts)) if extends is not None else ()
    calls = body.of("call_signature") if body is not None else None
    params = function(calls).params if calls is not None else None
    found = [
        MemberEntry(
            "", Shape("interface", generics=spell(node.get("type_parameters")), params=params, bases=bases), about.line
        )
    ]
    for member in body.parts if body is not None else []:
        name = name_of(member)
        marks = [*_optional(member), *_said(member), *(["readonly"] if member.has("readonly") else [])]
        if not name or _hidden(member, name):
            continue
        called = _function_type(member.get("type"))
        if member.kind == "property_signature" and called is not None:
            found.append(MemberEntry(f".{name}", called_type(called, *marks), member.line))
        elif member.kind == "property_signature":
            found.append(
                MemberEntry(
                    f".{name}", Shape("field", frozenset(marks), type=annotation(member.get("type"))), member.line
                )
            )
        elif member.kind == "method_signature":
            found.append(MemberEntry(f".{name}", function(member, *marks), member.line))
    return found


def _enum_members(node: Syntax) -> Iterator[MemberEntry]:
    body = node.get("body")
    for member in body.parts if body is not None else []:
        name = member.word("name") if member.kind == "enum_assignment" else member.text
        yield MemberEntry(f".{name.strip(_QUOTES)}", Shape("member", value=spell(member.get("value"))), member.line)


def _object_methods(node: Syntax) -> Iterator[MemberEntry]:
    for part in node.parts:
        name = name_of(part)
        value = part.get("value") if part.kind == "pair" else part
        called = value is not None and (value.kind in CALLED or value.kind == "method_definition")
        if name and value is not None and called and not _hidden(part, name):
            yield MemberEntry(f".{name}", function(value, *_said(part)), part.line)


_QUOTES = "\"'`"


def name_of(member: Syntax) -> str:
    """Return what a member is called, '' for what has no fixed name or a ``#private`` one."""
    named = member.get("name") or member.get("property") or member.get("key")
    if named is None or named.kind in ("private_property_identifier", "computed_property_name"):
        return ""
    return named.text.strip(_QUOTES)


def decorator_name(decorator: Syntax) -> str:
    """Return ``Get`` of ``@Get(':id')``."""
    inner = decorator.parts[0] if decorator.parts else None
    if inner is not None and inner.kind == "call_expression":
        inner = inner.get("function")
    return inner.text if inner is not None else ""


def _hidden(member: Syntax, name: str) -> bool:
    access = member.of("accessibility_modifier")
    private = access is not None and access.text == "private"
    return private or name.startswith("_") or _is_internal(member)


def _optional(member: Syntax) -> list[str]:
    return ["optional"] if member.has("?") else []


def _said(about: Syntax) -> list[str]:
    return ["deprecated"] if "@deprecated" in about.remarks else []


def _is_internal(about: Syntax) -> bool:
    return "@internal" in about.remarks


def _literal(node: Syntax) -> str:
    return spell(node) if node.kind in _LITERALS else ""
