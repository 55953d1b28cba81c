"""What one Rust file declares: its public items by module, what it hands on with ``pub use``, which modules it opens."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from loki_hooks.surface.pool import Found
from loki_hooks.surface.rust.macros import in_macro
from loki_hooks.surface.shape import Param, Shape
from loki_hooks.surface.spelling import plain, spell
from loki_hooks.surface.syntax import Syntax

Path = tuple[str, ...]
_LITERALS = frozenset({"integer_literal", "float_literal", "string_literal", "raw_string_literal", "char_literal",
                       "boolean_literal", "unary_expression", "binary_expression"})  # fmt: skip


@dataclass(frozen=True)
class RustItem:
    """``module``: its path in the crate; ``inner``: in the file; ``suffix``: '' or ``::get`` for what belongs to ``name``."""

    file: str
    module: Path
    inner: Path
    name: str
    suffix: str
    shape: Shape
    line: int
    new_breaks: bool = False


@dataclass(frozen=True)
class Use:
    """``pub use path::name as alias`` in ``module``; ``name`` '*' is all of it."""

    file: str
    module: Path
    path: Path
    name: str
    alias: str
    line: int


@dataclass
class RustFile:
    """``opens``: the modules that it declares, and whether they are public; ``program``: nobody can name what is in it."""

    path: str
    crate: str
    module: Path
    program: bool
    items: list[RustItem] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    opens: dict[Path, bool] = field(default_factory=dict)
    offers: list[Found] = field(default_factory=list)
    traits: list[tuple[str, str]] = field(default_factory=list)
    """(type, trait) of the implementations that are written out."""
    private_traits: set[str] = field(default_factory=set)
    elsewhere: dict[str, Path] = field(default_factory=dict)
    """Files that stand elsewhere than their modules' names say (``#[path = "…"]``), with the modules."""


def place(path: str) -> RustFile:
    """Return the empty file at its place: which crate it belongs to, and as which module."""
    pieces = path.removesuffix(".rs").split("/")
    at = len(pieces) - 1 - pieces[::-1].index("src") if "src" in pieces else -1
    crate, module = "/".join(pieces[: max(at, 0)]), pieces[at + 1 :]
    apart = module[:1] == ["bin"] or (at < 0 and bool({"examples", "benches"} & set(pieces)))
    program = apart or module in (["main"], ["build"])
    if module[-1:] in (["lib"], ["main"], ["mod"]):
        module = module[:-1]
    return RustFile(path, crate, tuple(module), program)


def roots(path: str) -> set[str]:
    """Return where the modules around a file may be declared."""
    pieces = path.split("/")
    at = len(pieces) - 1 - pieces[::-1].index("src") if "src" in pieces else -1
    source = "/".join(pieces[: at + 1])
    found = {posixpath.join(source, name) for name in ("lib.rs", "main.rs")}
    for end in range(at + 2, len(pieces)):
        folder = "/".join(pieces[:end])
        found |= {f"{folder}.rs", f"{folder}/mod.rs"}
    return found


def read_items(path: str, root: Syntax) -> RustFile:
    file = place(path)
    macros: dict[str, Syntax] = {}
    todo: list[tuple[Path, Path, Syntax]] = [(file.module, (), root)]
    while todo:
        module, inner, body = todo.pop()
        for node, attributes in attributed(body):
            if is_hidden(attributes):
                if node.kind == "mod_item":
                    file.opens[*module, node.word("name")] = False
                continue
            if node.kind == "trait_item" and not is_public(node):
                file.private_traits.add(node.word("name"))
            elif node.kind == "impl_item" and node.get("trait") is not None:
                file.traits += _written_trait(node)
            if node.kind == "macro_definition":
                macros[node.word("name")] = node
            made = in_macro(node, macros)
            if made is not None:
                todo.append((module, inner, made))
            elif node.kind == "mod_item":
                name, block = node.word("name"), node.get("body")
                file.opens[*module, name] = is_public(node)
                for text in (plain(part) for one in attributes if attribute_name(one) == "path" for part in one.walk()):
                    if text:
                        file.elsewhere[posixpath.normpath(posixpath.join(posixpath.dirname(path), text))] = (
                            *module,
                            name,
                        )
                if block is not None:
                    todo.append(((*module, name), (*inner, name), block))
            elif node.kind == "use_declaration" and is_public(node):
                file.uses += [Use(path, module, *used, node.line) for used in _used(node)]
            else:
                file.items += [
                    RustItem(path, module, inner, name, suffix, shape, at.line, new_breaks)
                    for name, suffix, shape, at, new_breaks in _items(node, attributes)
                ]
    return file


_Item = tuple[str, str, Shape, Syntax, bool]


def _items(node: Syntax, attributes: list[Syntax]) -> Iterator[_Item]:
    name = node.word("name")
    marks = _marks(attributes)
    generics = _generics(node)
    if node.kind == "impl_item":
        yield from _implemented(node)
    elif node.kind == "macro_definition" and any(attribute_name(a) == "macro_export" for a in attributes):
        yield f"{name}!", "", Shape("macro", marks), node, False
    elif node.kind == "foreign_mod_item":
        body = node.get("body")
        for inner, told in attributed(body) if body is not None else ():
            yield from _items(inner, told)
    elif not is_public(node):
        return
    elif node.kind in ("function_item", "function_signature_item"):
        yield name, "", function(node, marks), node, False
    elif node.kind in ("struct_item", "union_item"):
        yield from _struct(node, name, Shape(node.kind.removesuffix("_item"), marks, generics))
    elif node.kind == "enum_item":
        yield name, "", Shape("enum", marks, generics), node, False
        body = node.get("body")
        for variant in body.all("enum_variant") if body is not None else []:
            shape = Shape("variant", type=spell(variant.get("body")), value=spell(variant.get("value")))
            yield name, f"::{variant.word('name')}", shape, variant, "non_exhaustive" not in marks
    elif node.kind == "trait_item":
        bounds = node.get("bounds")
        bases = tuple(map(spell, bounds.parts)) if bounds is not None else ()
        yield name, "", Shape("trait", marks, generics, bases=bases), node, False
        yield from _trait_members(node, name)
    elif node.kind in ("const_item", "static_item", "type_item"):
        yield name, "", _value(node, marks), node, False


def _struct(node: Syntax, name: str, shape: Shape) -> Iterator[_Item]:
    body = node.get("body")
    if body is not None and body.kind == "ordered_field_declaration_list":
        seen = [spell(part) if before == "pub" else "_" for before, part in _ordered(body)]
        yield name, "", Shape(shape.kind, shape.marks, shape.generics, type=f"({', '.join(seen)})"), node, False
        return
    yield name, "", shape, node, False
    fields = body.all("field_declaration") if body is not None else []
    literal = (
        all(is_public(one) for one in fields) and "non_exhaustive" not in shape.marks
    )  # who writes it must name all
    for one in fields:
        if is_public(one):
            yield name, f"::{one.word('name')}", Shape("field", type=spell_type(one.get("type"))), one, literal


def _ordered(body: Syntax) -> Iterator[tuple[str, Syntax]]:
    """Yield (visibility, type) of a tuple's fields."""
    before = ""
    for part in body.parts:
        if part.kind == "visibility_modifier":
            before = part.text
        elif part.field == "type":
            yield before, part
            before = ""


def _implemented(node: Syntax) -> Iterator[_Item]:
    """Yield what ``impl Type`` offers; what a trait's implementation does is the trait's."""
    owner, body = node.get("type"), node.get("body")
    if node.get("trait") is not None or owner is None or body is None:
        return
    name = owner_name(owner)
    for member, attributes in attributed(body):
        if is_public(member) and name and not is_hidden(attributes):
            shape = _member(member, _marks(attributes))
            shape = shape and _without_self(shape, spell_type(owner))
            if shape is not None:
                yield name, f"::{member.word('name')}", shape, member, False


def owner_name(owner: Syntax) -> str:
    return next((one.text for one in owner.walk(("type_arguments",)) if one.kind == "type_identifier"), "")


def _written_trait(node: Syntax) -> Iterator[tuple[str, str]]:
    """Yield (type, trait) of ``impl Trait for Type``; one for each type that there is says nothing of a single one."""
    owner, trait, generics = node.get("type"), node.get("trait"), node.get("type_parameters")
    own = {part.text for part in generics.walk() if part.kind == "type_identifier"} if generics is not None else set()
    name = owner_name(owner) if owner is not None else ""
    if name and name not in own and trait is not None:
        yield name, spell_type(trait)


def _without_self(shape: Shape, owner: str) -> Shape:
    """Return the shape with the type written out where it says ``Self``: the same in both spellings."""

    def spelled(text: str) -> str:
        return _SELF.sub(lambda _: owner, text)

    params = shape.params and tuple(replace(param, type=spelled(param.type)) for param in shape.params)
    return replace(shape, params=params, type=spelled(shape.type))


_SELF = re.compile(r"\bSelf\b(?!::)")
_PATH = re.compile(r"(?<![\w:])(?:::)?(?:[a-z_]\w*::)+(?=[A-Z])|(?<=[<(, &])(?:[a-z_]\w*::)+(?=[A-Z])")


def spell_type(node: Syntax | None) -> str:
    """Return a type without the modules that it may be written with or without, and without lifetimes that are left open."""
    return _PATH.sub("", spell(node)).replace("<'_>", "").replace("'_, ", "").replace("'_ ", "")


def _trait_members(node: Syntax, name: str) -> Iterator[_Item]:
    body = node.get("body")
    for member, attributes in attributed(body) if body is not None else ():
        shape = _member(member, _marks(attributes))
        if shape is not None and not is_hidden(attributes):
            required = member.kind in ("function_signature_item", "associated_type") or (
                member.kind == "const_item" and member.get("value") is None
            )
            yield name, f"::{member.word('name')}", shape, member, required


def _member(member: Syntax, marks: frozenset[str]) -> Shape | None:
    if member.kind in ("function_item", "function_signature_item"):
        return function(member, marks)
    if member.kind == "associated_type":
        return Shape("type", marks, type=spell(member.get("bounds")))
    return _value(member, marks) if member.kind in ("const_item", "type_item") else None


def _value(node: Syntax, marks: frozenset[str]) -> Shape:
    value = node.get("value")
    said = spell(value) if value is not None and value.kind in _LITERALS else ""
    return Shape(node.kind.removesuffix("_item"), marks, _generics(node), type=spell_type(node.get("type")), value=said)


def function(node: Syntax, marks: frozenset[str]) -> Shape:
    modifiers = node.of("function_modifiers")
    words = {word.text for word in modifiers.children if not word.children} if modifiers is not None else set()
    result = spell_type(node.get("return_type")) or "()"
    return Shape("function", marks | words, _generics(node), tuple(_params(node.get("parameters"))), result)


def _params(node: Syntax | None) -> Iterator[Param]:
    for part in node.parts if node is not None else []:
        if part.kind == "self_parameter":
            yield Param("", spell(part, ("mutable_specifier",)) if not part.has("&") else spell(part))
        elif part.kind == "parameter":
            pattern = spell(part.get("pattern"), ("mutable_specifier",))
            yield Param(pattern, spell_type(part.get("type")))
        elif part.kind == "variadic_parameter":
            yield Param("", rest=True)


def _generics(node: Syntax) -> str:
    where = spell_type(node.of("where_clause")).rstrip(",")
    return spell_type(node.get("type_parameters")) + (f" {where}" if where else "")


def is_public(node: Syntax) -> bool:
    visibility = node.of("visibility_modifier")
    return visibility is not None and visibility.text == "pub"


def _used(node: Syntax) -> Iterator[tuple[Path, str, str]]:
    """Yield (path, name, alias) for each name in the tree of a ``use``."""
    argument = node.get("argument")
    todo: list[tuple[Path, Syntax]] = [((), argument)] if argument is not None else []
    while todo:
        path, at = todo.pop()
        if at.kind == "scoped_use_list":
            listed = at.get("list")
            below = (*path, *_segments(at.get("path")))
            todo += [(below, part) for part in reversed(listed.parts)] if listed is not None else []
        elif at.kind == "use_list":
            todo += [(path, part) for part in reversed(at.parts)]
        elif at.kind == "use_wildcard":
            yield (*path, *_segments(at.parts[0] if at.parts else None)), "*", "*"
        elif at.kind == "use_as_clause":
            whole = (*path, *_segments(at.get("path")))
            yield whole[:-1], whole[-1] if whole else "", at.word("alias")
        else:
            whole = (*path, *_segments(at))
            if whole[-1:] == ("self",):
                whole = whole[:-1]
            if whole:
                yield whole[:-1], whole[-1], whole[-1]


def _segments(node: Syntax | None) -> Path:
    if node is None:
        return ()
    return tuple(part.text for part in node.walk() if not part.children and part.kind != "::")


def attributed(body: Syntax) -> Iterator[tuple[Syntax, list[Syntax]]]:
    """Yield each item with the attributes above it."""
    pending: list[Syntax] = []
    for node in body.parts:
        if node.kind == "attribute_item":
            pending.append(node)
        else:
            yield node, pending
            pending = []


def attribute_name(item: Syntax) -> str:
    attribute = item.of("attribute")
    return attribute.parts[0].text if attribute is not None and attribute.parts else ""


def attribute_arguments(item: Syntax) -> Syntax | None:
    attribute = item.of("attribute")
    return attribute.get("arguments") if attribute is not None else None


def _marks(attributes: list[Syntax]) -> frozenset[str]:
    marks = set()
    for item in attributes:
        name, arguments = attribute_name(item), attribute_arguments(item)
        if name in ("deprecated", "non_exhaustive"):
            marks.add(name)
        elif name == "derive" and arguments is not None:
            marks |= {f"impl {part.text}" for part in arguments.all("identifier")}
    return frozenset(marks)


def is_hidden(attributes: list[Syntax]) -> bool:
    """Is it there for tests alone, or left out of the documentation?"""
    for item in attributes:
        name, arguments = attribute_name(item), attribute_arguments(item)
        words = [part.text for part in arguments.parts] if arguments is not None else []
        if (name, words) in (("cfg", ["test"]), ("doc", ["hidden"])) or name.rpartition("::")[2] == "test":
            return True
    return False
