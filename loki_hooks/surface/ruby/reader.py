"""Reads Ruby: public methods, attributes and constants of modules and classes, whichever file opens them.

Documents write ``Acme::Client#get`` for what an object answers to and ``Acme::Client.build`` for what the class does.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from loki_hooks.domain.surface import Aspect, Compared
from loki_hooks.surface.packages import Packages
from loki_hooks.surface.pool import Found, compare_files, differ_by_key, offer
from loki_hooks.surface.ruby.app import pairs, read_offers, texts, words
from loki_hooks.surface.shape import Param, Shape
from loki_hooks.surface.spelling import spell
from loki_hooks.surface.syntax import Syntax

_LITERALS = frozenset({"integer", "float", "string", "simple_symbol", "true", "false", "nil", "unary"})
_ELSEWHERE = ("app/controllers/", "db/migrate/", "config/", "lib/generators/", "lib/tasks/")
"""What stands in these folders is called by its framework."""
_VISIBILITIES = ("public", "private", "protected")
_READERS = (
    "attr_reader",
    "attr_accessor",
    "mattr_reader",
    "mattr_accessor",
    "cattr_reader",
    "cattr_accessor",
    "class_attribute",
)
_WRITERS = (
    "attr_writer",
    "attr_accessor",
    "mattr_writer",
    "mattr_accessor",
    "cattr_writer",
    "cattr_accessor",
    "class_attribute",
)


def changes(before: Mapping[str, str], after: Mapping[str, str], packages: Packages) -> Compared:
    del packages
    return compare_files(before, after, lambda _: "ruby", _read, differ_by_key)


def context(changed: Collection[str], all_paths: Collection[str]) -> set[str]:
    """Return the files that open the modules around what changed, by Ruby's custom: ``lib/acme.rb`` for ``lib/acme/client.rb``."""
    folders = {str(folder) for path in changed for folder in PurePosixPath(path).parents}
    return ({f"{folder}.rb" for folder in folders} & set(all_paths)) - set(changed)


def follow(texts: Mapping[str, str], all_paths: Collection[str], packages: Packages) -> set[str]:
    """Return the files of the classes and modules that the files' own have members from, by Ruby's custom of naming files."""
    del packages
    names = {name for text in texts.values() for found in _DERIVED.finditer(text) for name in _NAME.findall(found[1])}
    wanted = {f"/{re.sub(r'(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])', '_', name).lower()}.rb" for name in names}
    found = sorted(p for p in all_paths if p.endswith(".rb") and f"/{p.rpartition('/')[2]}" in wanted)
    return set(found[:_MOST_FOLLOWED]) - texts.keys()


_MOST_FOLLOWED = 40
_DERIVED = re.compile(r"(?:^\s*class\s+[\w:]+\s*<|^\s*(?:include|prepend))\s+([\w:, ]+)", re.MULTILINE)
_NAME = re.compile(r"[A-Z]\w*")


def _read(path: str, root: Syntax) -> list[Found]:
    found = list(read_offers(path, root))
    if not any(f"/{folder}" in f"/{path}" for folder in _ELSEWHERE):
        found += _File(path).read(root)
    return found


@dataclass
class _Space:
    """One opening of a module or class; ``own``: name with its mark (``#get``, ``.build``, ``::LIMIT``) → shape and place."""

    name: str
    kind: str = "module"
    bases: tuple[str, ...] = ()
    mixins: tuple[str, ...] = ()
    params: tuple[Param, ...] | None = None
    at: Syntax | None = None
    visibility: str = "public"
    mark: str = "#"
    own: dict[str, tuple[Shape, Syntax]] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    conditional: set[str] = field(default_factory=set)
    """What is there only where a condition holds: it comes and goes apart from its class."""
    inside_condition: bool = False

    @property
    def marker(self) -> bool:
        """Whether it is a module without anything in it: there to be included, and rescued."""
        return self.at is not None and self.kind == "module" and _is_empty(self.at)


@dataclass
class _File:
    path: str
    spaces: list[_Space] = field(default_factory=list)

    def read(self, root: Syntax) -> Iterator[Found]:
        self.spaces.append(_Space(""))
        todo: list[tuple[_Space, Syntax]] = [(self.spaces[0], root)]
        while todo:
            space, body = todo.pop()
            for node in body.parts:
                todo += self._statement(space, node)
        for space in self.spaces:
            yield from self._offers(space)

    def _offers(self, space: _Space) -> Iterator[Found]:
        built = space.own.pop("#initialize", None)
        members = {
            name: told for name, told in space.own.items() if name not in space.hidden and not name[1:].startswith("_")
        }
        key = ("", Aspect.PUBLIC, space.name)
        opened_only = space.own and all(name.startswith("::") for name in space.own) and not space.bases and not built
        if space.at is not None and not opened_only and (space.kind == "class" or members or space.marker):
            params = built[0].params if built else space.params
            shape = Shape(space.kind, _marks(space.at), params=params, bases=(*space.bases, *sorted(space.mixins)))
            around = ("", Aspect.PUBLIC, space.name.rpartition("::")[0])
            yield key, offer(Aspect.PUBLIC, space.name, space.at.line, self.path, shape, owner=around)
        for name, (shape, at) in members.items():
            if space.name or name.startswith("::"):
                full = space.name + name if space.name else name.removeprefix("::")
                owner = None if name in space.conditional else key
                yield ("", Aspect.PUBLIC, full), offer(Aspect.PUBLIC, full, at.line, self.path, shape, owner=owner)

    def _statement(self, space: _Space, node: Syntax) -> Iterator[tuple[_Space, Syntax]]:
        """Take down one statement of a body; yield what is opened in it."""
        name = node.word("name")
        if node.kind in ("class", "module"):
            yield from self._opened(space, node)
        elif node.kind == "singleton_class":
            inner = replace(space, visibility="public", mark=".")  # shares what the outer one owns
            yield from _body(inner, node)
        elif node.kind == "method":
            self._add(space, space.mark + name, function(node), node, space.visibility)
        elif node.kind == "singleton_method":
            self._add(space, f".{name}", function(node), node, "public")
        elif node.kind == "assignment":
            yield from self._constant(space, node)
        elif node.kind == "identifier" and node.text in _VISIBILITIES:
            space.visibility = node.text
        elif node.kind == "identifier" and node.text == "module_function":
            space.mark = "."
        elif node.kind == "alias":
            told = space.own.get(space.mark + node.word("alias"))
            self._add(space, space.mark + name, told[0] if told else Shape("function"), node, space.visibility)
        elif node.kind == "call" and node.get("receiver") is None:
            yield from self._call(space, node)
        elif node.kind in _CONDITIONAL:
            for part in node.parts:
                if part.field in ("condition", "value", "pattern", "exceptions"):
                    continue
                inner = replace(space, inside_condition=True)
                if part.kind in (*_CONDITIONAL, *_DEFINING) or node.kind.endswith("_modifier"):
                    yield from self._statement(inner, part)
                elif part.kind in ("then", "else", "body_statement", "ensure"):
                    yield inner, part

    def _opened(self, space: _Space, node: Syntax) -> Iterator[tuple[_Space, Syntax]]:
        name = spell(node.get("name")).removeprefix("::")
        above = node.get("superclass")
        made = _made(above.parts[0]) if above is not None and above.parts else None
        bases = ("Struct",) if made else tuple(map(spell, above.parts)) if above is not None else ()
        params = made.params if made else None if bases or node.kind == "module" else ()
        if not _is_hidden(node):
            full = f"{space.name}::{name}" if space.name else name
            inner = _Space(full, node.kind, bases, params=params, at=node)
            self.spaces.append(inner)
            yield from _body(inner, node)

    def _add(self, space: _Space, name: str, shape: Shape, at: Syntax, visibility: str) -> None:
        if visibility == "public" and not _is_hidden(at):
            space.hidden.discard(name)
            space.own[name] = (replace(shape, marks=shape.marks | _marks(at)), at)
            (space.conditional.add if space.inside_condition else space.conditional.discard)(name)
        else:
            space.hidden.add(name)

    def _constant(self, space: _Space, node: Syntax) -> Iterator[tuple[_Space, Syntax]]:
        name, value = node.get("left"), node.get("right")
        if name is None or value is None or name.kind != "constant":
            return
        made = _class_made(value)
        if made is not None:
            kind, bases, params = made
            full = f"{space.name}::{name.text}" if space.name else name.text
            if not _is_hidden(node):
                inner = _Space(full, kind, bases, params=params, at=node)
                self.spaces.append(inner)
                yield from _body(inner, value.get("block"))
            return
        value = _unfrozen(value)
        shape = Shape("constant", value=spell(value) if value.kind in _LITERALS else "")
        self._add(space, f"::{name.text}", shape, node, "public")

    def _call(self, space: _Space, node: Syntax) -> Iterator[tuple[_Space, Syntax]]:
        verb, arguments = node.word("method"), node.get("arguments")
        given = arguments.parts if arguments is not None else []
        names = words(arguments)
        mark = "." if verb.startswith(("matt", "catt", "class_attr")) else space.mark
        if verb in _VISIBILITIES or verb in ("private_class_method", "public_class_method", "private_constant"):
            yield from self._visibility(space, verb, given, names)
        elif verb == "module_function":
            for name in names:
                if f"#{name}" in space.own:
                    space.own[f".{name}"] = space.own.pop(f"#{name}")
        elif verb == "extend" and any(one.kind == "self" for one in given):
            space.mark = "."
            space.own |= {f".{name[1:]}": space.own.pop(name) for name in list(space.own) if name.startswith("#")}
        elif verb in ("include", "prepend") and space.at is not None:
            space.mixins += tuple(spell(one) for one in given if one.kind in ("constant", "scope_resolution"))
        elif verb == "class_methods":
            yield from _body(replace(space, visibility="public", mark="."), node.get("block"))
        elif verb in ("define_method", "alias_method"):
            told = space.own.get(space.mark + names[1]) if verb == "alias_method" and len(names) > 1 else None
            for name in names[:1]:
                self._add(space, space.mark + name, told[0] if told else Shape("function"), node, space.visibility)
        elif verb in ("included", "class_eval", "concerning") and node.get("block") is not None:
            yield from _body(space, node.get("block"))
        elif any(one.kind in ("method", "singleton_method") for one in given):  # memoize def …
            for one in given:
                yield from self._statement(space, one)
        elif verb == "delegate":
            for name in names:
                self._add(space, space.mark + name, Shape("function"), node, space.visibility)
        for name in names if verb in _READERS else ():
            self._add(space, mark + name, Shape("function", params=()), node, space.visibility)
        for name in names if verb in _WRITERS else ():
            self._add(space, f"{mark}{name}=", Shape("function", params=(Param("value"),)), node, space.visibility)

    def _visibility(
        self, space: _Space, verb: str, given: list[Syntax], names: list[str]
    ) -> Iterator[tuple[_Space, Syntax]]:
        """Read ``private :a``, ``private def b``, ``private attr_reader :c``, ``private_class_method :d``."""
        visibility = verb.partition("_")[0]
        mark = {"private_class_method": ".", "public_class_method": ".", "private_constant": "::"}.get(verb, space.mark)
        was, space.visibility = space.visibility, visibility
        for one in given:
            if one.kind in ("method", "singleton_method", "call"):
                yield from self._statement(space, one)
            if one.kind == "singleton_method" and visibility != "public":
                space.hidden.add(f".{one.word('name')}")
        if given:
            space.visibility = was
        for name in names:
            if visibility == "public":
                space.hidden.discard(mark + name)
            else:
                space.hidden.add(mark + name)


def _made(value: Syntax) -> Shape | None:
    """Return the class that ``Struct.new(:a)`` and ``Data.define(:a)`` make, None where it is neither."""
    made = f"{value.word('receiver')}.{value.word('method')}" if value.kind == "call" else ""
    arguments = value.get("arguments")
    if made not in ("Struct.new", "Data.define") or arguments is None:
        return None
    keyword = made == "Data.define" or "keyword_init" in pairs(arguments)
    fields = [text for part in arguments.all("simple_symbol") for text in texts(part)]
    return Shape("class", params=tuple(Param(one, optional=made == "Struct.new", keyword=keyword) for one in fields))


_CONDITIONAL = (
    "if",
    "unless",
    "elsif",
    "else",
    "if_modifier",
    "unless_modifier",
    "begin",
    "case",
    "when",
    "rescue",
    "ensure",
    "then",
)
_DEFINING = ("method", "singleton_method", "class", "module", "call", "assignment", "alias", "singleton_class")


def _class_made(value: Syntax) -> tuple[str, tuple[str, ...], tuple[Param, ...] | None] | None:
    """Return (kind, bases, parameters) of the class that ``Struct.new(:a)``, ``Class.new(Base)`` and the like make."""
    made = _made(value)
    if made is not None:
        return "class", ("Struct",) if value.word("receiver") == "Struct" else (), made.params
    called = f"{value.word('receiver')}.{value.word('method')}" if value.kind == "call" else ""
    arguments = value.get("arguments")
    if called == "Class.new":
        above = tuple(spell(one) for one in (arguments.parts if arguments is not None else []) if one.kind != "pair")
        return "class", above, None if above else ()
    return ("module", (), None) if called == "Module.new" and value.get("block") is not None else None


def _unfrozen(value: Syntax) -> Syntax:
    """Return what ``.freeze`` is called on: who reads it sees no difference."""
    while value.kind == "call" and value.word("method") in ("freeze", "dup") and value.get("receiver") is not None:
        inner = value.get("receiver")
        assert inner is not None
        value = inner
    return value


def _is_empty(node: Syntax) -> bool:
    body = node.get("body")
    return body is None or not body.parts


def _body(space: _Space, node: Syntax | None) -> Iterator[tuple[_Space, Syntax]]:
    body = node.get("body") if node is not None else None
    if body is not None:
        yield space, body


def function(node: Syntax) -> Shape:
    """Return a method's shape; whether it names its block says nothing."""
    parameters = node.get("parameters")
    params = [one for part in (parameters.parts if parameters is not None else []) for one in _params(part)]
    named = sorted((one for one in params if one.keyword), key=lambda one: (one.rest, one.name))
    return Shape("function", params=(*(one for one in params if not one.keyword), *named))


def _params(part: Syntax) -> Iterator[Param]:
    name, value = part.word("name"), part.get("value")
    match part.kind:
        case "identifier" | "destructured_parameter":
            yield Param(spell(part))
        case "optional_parameter":
            yield Param(name, default=spell(value), optional=True)
        case "splat_parameter":
            yield Param("args", rest=True)  # whatever it is called
        case "keyword_parameter":
            yield Param(name, default=spell(value), optional=value is not None, keyword=True)
        case "hash_splat_parameter":
            yield Param("options", keyword=True, rest=True)
        case "forward_parameter":
            yield Param("args", rest=True)


def _marks(at: Syntax) -> frozenset[str]:
    return frozenset({"deprecated"} if "@deprecated" in at.remarks else ())


def _is_hidden(at: Syntax) -> bool:
    said = f"{at.remarks}\n{at.beside}"
    return ":nodoc:" in said or "@api private" in said or "@private" in said
