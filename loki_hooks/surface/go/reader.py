"""Reads Go: what a package exports, whichever of its files it stands in. ``main`` and ``internal/`` export nothing."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from loki_hooks.domain.surface import Aspect, Change, Compared
from loki_hooks.surface.go.app import read_offers
from loki_hooks.surface.packages import Packages
from loki_hooks.surface.pool import Found, compare_files, differ_by_key, offer
from loki_hooks.surface.shape import Param, Shape, marked
from loki_hooks.surface.spelling import spell
from loki_hooks.surface.syntax import Syntax

_LITERALS = frozenset({"int_literal", "float_literal", "interpreted_string_literal", "raw_string_literal", "rune_literal",
                       "true", "false", "unary_expression", "binary_expression"})  # fmt: skip


def changes(before: Mapping[str, str], after: Mapping[str, str], packages: Packages) -> Compared:
    del packages
    return compare_files(before, after, lambda _: "go", _read, _differ)


def _differ(old: Mapping[str, list[Found]], new: Mapping[str, list[Found]]) -> Iterable[Change]:
    return differ_by_key(*({path: [_written_out(one, aliases) for one in found] for path, found in side.items()}
                           for side in (old, new) for aliases in [_aliases(side)]))  # fmt: skip


def _aliases(side: Mapping[str, list[Found]]) -> dict[tuple[str, str], str]:
    """Return (package, name) → the type that the name is another one for."""
    return {
        (posixpath.dirname(one.file), one.name): shape.type
        for found in side.values()
        for _, one in found
        for shape in one.shapes
        if shape.kind == "alias" and one.name not in shape.type
    }


def _written_out(found: Found, aliases: Mapping[tuple[str, str], str]) -> Found:
    key, one = found
    package = posixpath.dirname(one.file)
    known = {name: kind for (home, name), kind in aliases.items() if home == package}
    if not known or one.aspect is not Aspect.PUBLIC or any(shape.kind == "alias" for shape in one.shapes):
        return found
    words = re.compile(rf"(?<![\w.])({'|'.join(map(re.escape, known))})(?!\w)")

    def spelled(text: str) -> str:
        return words.sub(lambda name: known[name[1]], text)

    shapes = tuple(
        replace(
            shape,
            type=spelled(shape.type),
            params=shape.params and tuple(replace(param, type=spelled(param.type)) for param in shape.params),
        )
        for shape in one.shapes
    )
    return key, one if shapes == one.shapes else replace(one, shapes=shapes, seen="; ".join(sorted(map(str, shapes))))


def context(changed: Collection[str], all_paths: Collection[str]) -> set[str]:
    """Return nothing: what a package exports of a file stands in that file."""
    del changed, all_paths
    return set()


def _read(path: str, root: Syntax) -> list[Found]:
    found = list(read_offers(path, root))
    package = root.of("package_clause")
    name = package.parts[0].text if package is not None and package.parts else ""
    if name != "main" and "internal" not in path.split("/"):
        found += _Package(path).read(root)
    return found


@dataclass(frozen=True)
class _Package:
    path: str

    def read(self, root: Syntax) -> Iterator[Found]:
        for node in root.parts:
            match node.kind:
                case "function_declaration":
                    yield from self._offer(node.word("name"), _function(node), node, node)
                case "method_declaration":
                    yield from self._method(node)
                case "type_declaration":
                    for spec in node.all("type_spec", "type_alias"):
                        yield from self._type(spec, node)
                case "const_declaration" | "var_declaration":
                    specs = [*node.parts, *(spec for group in node.all("var_spec_list") for spec in group.parts)]
                    for spec in specs:
                        if spec.kind in ("const_spec", "var_spec"):
                            yield from self._values(spec, node)

    def _offer(self, name: str, shape: Shape, at: Syntax, about: Syntax) -> Iterator[Found]:
        """Yield the name where each part of it is exported; ``about`` is what its comment stands above."""
        if name and all(part[:1].isupper() for part in name.split(".")):
            deprecated = "Deprecated:" in about.remarks
            shape = marked(shape, "deprecated") if deprecated else shape
            owner = self._key(name.rpartition(".")[0])
            yield self._key(name), offer(Aspect.PUBLIC, name, at.line, self.path, shape, owner=owner)

    def _key(self, name: str) -> tuple[str, Aspect, str]:
        return posixpath.dirname(self.path), Aspect.PUBLIC, name

    def _method(self, node: Syntax) -> Iterator[Found]:
        receiver = node.get("receiver")
        types = [n for n in receiver.walk() if n.kind == "type_identifier"] if receiver is not None else []
        if types:
            yield from self._offer(f"{types[0].text}.{node.word('name')}", _function(node), node, node)

    def _type(self, spec: Syntax, around: Syntax) -> Iterator[Found]:
        name, kind = spec.word("name"), spec.get("type")
        about = spec if around.has("(") else around
        generics = spell(spec.get("type_parameters"))
        if kind is None:
            return
        if kind.kind == "struct_type":
            yield from self._offer(name, Shape("struct", generics=generics), spec, about)
            for field in (f for body in kind.parts for f in body.all("field_declaration")):
                yield from self._field(name, field)
        elif kind.kind == "interface_type":
            embedded = tuple(sorted(spell(part) for part in kind.all("type_elem")))
            yield from self._offer(name, Shape("interface", generics=generics, bases=embedded), spec, about)
            methods = kind.all("method_elem")
            open_to_all = all(method.word("name")[:1].isupper() for method in methods)
            for method in methods:
                for key, one in self._offer(f"{name}.{method.word('name')}", _function(method), method, method):
                    yield key, replace(one, new_breaks=open_to_all)
        else:
            word = "alias" if spec.kind == "type_alias" else "type"
            yield from self._offer(name, Shape(word, generics=generics, type=spell(kind)), spec, about)

    def _field(self, owner: str, field: Syntax) -> Iterator[Found]:
        kind = field.get("type")
        names = field.every("name")
        shape = Shape("field", type=("*" if field.has("*") else "") + spell(kind))
        for name in names:
            yield from self._offer(f"{owner}.{name.text}", shape, name, field)
        if not names and kind is not None:  # embedded: called by its type
            last = [n for n in kind.walk(("type_arguments",)) if n.kind == "type_identifier"]
            if last:
                yield from self._offer(
                    f"{owner}.{last[-1].text if kind.kind != 'generic_type' else last[0].text}", shape, field, field
                )

    def _values(self, spec: Syntax, around: Syntax) -> Iterator[Found]:
        word = "constant" if spec.kind == "const_spec" else "variable"
        listed = spec.get("value")
        values = listed.parts if listed is not None else []
        about = spec if around.has("(") or spec.parent is not around else around
        kind = (
            "" if word == "variable" and values else spell(spec.get("type"))
        )  # `var x T = v` and `var x = v` are the same
        for at, name in enumerate(spec.every("name")):
            value = values[at] if at < len(values) and word == "constant" and values[at].kind in _LITERALS else None
            yield from self._offer(name.text, Shape(word, type=kind, value=spell(value)), spec, about)


def _function(node: Syntax) -> Shape:
    result = node.get("result")
    if result is not None and result.kind == "parameter_list":
        types = [param.type for param in _params(result)]
        kind = types[0] if len(types) == 1 else f"({', '.join(types)})"
    else:
        kind = spell(result) or "()"
    return Shape(
        "function",
        generics=spell(node.get("type_parameters")),
        params=tuple(_params(node.get("parameters"))),
        type=kind,
    )


def _params(node: Syntax | None) -> Iterator[Param]:
    for declaration in node.parts if node is not None else []:
        kind = spell(declaration.get("type"))
        rest = declaration.kind == "variadic_parameter_declaration"
        for name in [name.text for name in declaration.every("name")] or [""]:
            yield Param(name, kind, rest=rest)
