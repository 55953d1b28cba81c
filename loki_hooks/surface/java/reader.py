"""Reads Java: public and protected members of public types, whichever file of a package they stand in.

A package that is called ``internal``, by custom, offers nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from loki_hooks.domain.surface import Aspect, Compared
from loki_hooks.surface.java.app import SERVED, annotated, is_route, read_offers
from loki_hooks.surface.packages import Packages
from loki_hooks.surface.pool import Found, Key, compare_files, differ_by_key, offer
from loki_hooks.surface.shape import Param, Shape
from loki_hooks.surface.spelling import spell
from loki_hooks.surface.syntax import Syntax

_TYPES = (
    "class_declaration",
    "interface_declaration",
    "enum_declaration",
    "record_declaration",
    "annotation_type_declaration",
)
_OPEN = ("interface_declaration", "annotation_type_declaration")
"""What is in these is public without a word."""
_IN_PACKAGE = re.compile(r"\b(?:[a-z_]\w*\.)+(?=[A-Z])")
_SEEN = ("static", "abstract", "final", "sealed", "protected", "default")
_INJECTED = frozenset(
    {"Component", "Service", "Repository", "Singleton", "ApplicationScoped", "RequestScoped", "Named"}
)
"""Made by a container: nobody else calls the constructor."""
_LITERALS = frozenset({"decimal_integer_literal", "hex_integer_literal", "decimal_floating_point_literal", "string_literal",
                       "character_literal", "true", "false", "unary_expression", "binary_expression"})  # fmt: skip
_UNCHECKED = (
    "RuntimeException",
    "ArgumentException",
    "StateException",
    "PointerException",
    "OperationException",
    "Error",
)


def changes(before: Mapping[str, str], after: Mapping[str, str], packages: Packages) -> Compared:
    del packages
    return compare_files(before, after, lambda _: "java", _read, differ_by_key)


def context(changed: Collection[str], all_paths: Collection[str]) -> set[str]:
    """Return nothing: a type stands in one file."""
    del changed, all_paths
    return set()


def _read(path: str, root: Syntax) -> list[Found]:
    package = root.of("package_declaration")
    name = spell(package.of("scoped_identifier", "identifier")) if package is not None else ""
    found = list(read_offers(path, root))
    return found if "internal" in name.split(".") else [*found, *_Package(path, name).read(root)]


def follow(texts: Mapping[str, str], all_paths: Collection[str], packages: Packages) -> set[str]:
    """Return the files of the types that the files' types derive from: what those give is no news."""
    del packages
    wanted = {
        f"/{name}.java"
        for text in texts.values()
        for found in _DERIVED.finditer(text)
        for name in _NAME.findall(found[1])
    }
    return {
        path for path in all_paths if path.endswith(".java") and f"/{path.rpartition('/')[2]}" in wanted
    } - texts.keys()


_DERIVED = re.compile(r"\b(?:extends|implements)\s+([^{]{1,300})\{")
_NAME = re.compile(r"[A-Z]\w*")


@dataclass(frozen=True)
class _Package:
    path: str
    name: str

    def read(self, root: Syntax) -> Iterator[Found]:
        todo = [("", node, False) for node in root.parts if node.kind in _TYPES]
        while todo:
            outer, node, implied = todo.pop()
            said = annotated(node)
            if not _is_visible(node, implied) or SERVED & said.keys():
                continue
            name = outer + node.word("name")
            for shape in _type(node, set(said)):
                yield self._offer(name, "", shape, node)
            inside = node.kind in _OPEN
            for member in _members(node):
                if member.kind in _TYPES:
                    todo.append((f"{name}.", member, inside))
                elif member.kind == "enum_constant" or _is_visible(member, inside):
                    yield from self._member(name, member, inside)

    def _member(self, owner: str, member: Syntax, inside: bool) -> Iterator[Found]:
        if member.kind == "method_declaration" and not is_route(member):
            shape = _function(member)
            bare = (
                inside and member.get("body") is None and not owner.endswith("Repository")
            )  # which a framework implements
            key, one = self._offer(owner, f".{member.word('name')}", shape, member)
            yield key, replace(one, new_breaks=bare)
        elif member.kind == "annotation_type_element_declaration":
            value = spell(member.get("value"))
            key, one = self._offer(
                owner, f".{member.word('name')}", Shape("field", type=spell(member.get("type")), value=value), member
            )
            yield key, replace(one, new_breaks=not value)
        elif member.kind in ("field_declaration", "constant_declaration"):
            for declarator in member.every("declarator"):
                yield self._offer(owner, f".{declarator.word('name')}", _field(member, declarator, inside), declarator)
        elif member.kind == "enum_constant":
            yield self._offer(owner, f".{member.word('name')}", Shape("member"), member)

    def _offer(self, name: str, suffix: str, shape: Shape, at: Syntax) -> Found:
        owner = name if suffix else name.rpartition(".")[0]
        return self._key(name + suffix), offer(
            Aspect.PUBLIC, name + suffix, at.line, self.path, shape, owner=self._key(owner)
        )

    def _key(self, name: str) -> Key:
        return self.name, Aspect.PUBLIC, name


def _members(node: Syntax) -> Iterator[Syntax]:
    body = node.get("body")
    for member in body.parts if body is not None else []:
        if member.kind == "enum_body_declarations":
            yield from member.parts
        else:
            yield member


def _is_visible(node: Syntax, implied: bool) -> bool:
    modifiers = node.of("modifiers")
    if modifiers is None:
        return implied
    return modifiers.has("public", "protected") or (implied and not modifiers.has("private"))


def _marks(node: Syntax) -> frozenset[str]:
    modifiers = node.of("modifiers")
    words = {word for word in _SEEN if modifiers is not None and modifiers.has(word)}
    if "Deprecated" in annotated(node) or "@deprecated" in node.remarks:
        words.add("deprecated")
    if node.kind == "method_declaration" and "static" in words:
        words.discard("final")  # nobody overrides it either way
    if "Override" in annotated(node):
        words.add("override")
    return frozenset(words)


def _type(node: Syntax, said: set[str]) -> Iterator[Shape]:
    """Yield the type's shape, once for each way to construct it."""
    kind = node.kind.removesuffix("_declaration")
    bases = [
        *_listed(node.get("superclass")),
        *_listed(node.get("interfaces")),
        *_listed(node.of("extends_interfaces")),
    ]
    shape = Shape(kind, _marks(node), spell(node.get("type_parameters")), bases=tuple(bases))
    constructors = [member for member in _members(node) if member.kind == "constructor_declaration"]
    visible = [member for member in constructors if _is_visible(member, implied=False)]
    if kind == "record":
        yield replace(shape, params=tuple(_params(node.get("parameters"))))
    elif kind == "class" and constructors and not visible:
        yield replace(shape, marks=shape.marks - {"final"} | {"closed"})  # nobody extends it either way
    elif kind != "class" or _INJECTED & said or not constructors:
        yield replace(shape, params=() if kind == "class" and not _INJECTED & said else None)
    if not _INJECTED & said:
        for constructor in visible:
            marks = shape.marks | (_marks(constructor) & {"deprecated"})
            yield replace(
                shape, marks=marks, params=tuple(replace(p, name="") for p in _params(constructor.get("parameters")))
            )


def _listed(clause: Syntax | None) -> Iterator[str]:
    for part in clause.parts if clause is not None else []:
        yield from map(spell, part.parts if part.kind == "type_list" else [part])


def _function(node: Syntax) -> Shape:
    throws = node.of("throws")
    thrown = sorted(
        text for part in (throws.parts if throws is not None else []) if not (text := spell(part)).endswith(_UNCHECKED)
    )
    kind = _kind(node.get("type")) + (f" throws {', '.join(thrown)}" if thrown else "")
    return Shape(
        "function",
        _marks(node),
        spell(node.get("type_parameters")),
        tuple(replace(param, name="") for param in _params(node.get("parameters"))),  # nobody can give one by its name
        kind,
    )


def _params(node: Syntax | None) -> Iterator[Param]:
    for part in node.parts if node is not None else []:
        if part.kind == "formal_parameter":
            yield Param(part.word("name"), _kind(part.get("type")) + spell(part.get("dimensions")))
        elif part.kind == "spread_parameter":
            declarator = part.of("variable_declarator")
            kind = next((one for one in part.parts if one.kind not in ("modifiers", "variable_declarator")), None)
            yield Param(declarator.word("name") if declarator is not None else "", spell(kind), rest=True)


def _kind(node: Syntax | None) -> str:
    """Return the type without the package that it may be written with or without."""
    return _IN_PACKAGE.sub("", spell(node))


def _field(member: Syntax, declarator: Syntax, inside: bool) -> Shape:
    marks = _marks(member) | ({"static", "final"} if inside else set())
    value = declarator.get("value")
    constant = value is not None and value.kind in _LITERALS and "final" in marks
    said = "" if not constant or declarator.word("name") == "serialVersionUID" else spell(value)
    return Shape("field", marks, type=_kind(member.get("type")) + spell(declarator.get("dimensions")), value=said)
