"""What a JavaScript or TypeScript module exports, by ``export`` and by CommonJS, and from where it takes what it hands on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from loki_hooks.surface.javascript.shapes import CALLED, CLASSES, MemberEntry, entries, function, name_of, variable
from loki_hooks.surface.pool import Found
from loki_hooks.surface.shape import Shape
from loki_hooks.surface.spelling import plain
from loki_hooks.surface.syntax import Syntax

DEFAULT = "default"
_PLAIN = ("string", "number", "true", "false", "null")
_TYPES = frozenset({"interface", "type"})
_DECLARED = frozenset({*CALLED, *CLASSES, "interface_declaration", "type_alias_declaration", "enum_declaration"})


@dataclass(frozen=True)
class Export:
    """``entries`` of the module's own, or (``source``, ``name``): what another one exports; ``name`` '*' is all of it.

    ``local``: what the module itself calls it, where that is a name.
    """

    line: int
    called: str = ""
    entries: tuple[MemberEntry, ...] = ()
    local: str = ""
    source: str = ""
    name: str = ""


@dataclass
class ExportingModule:
    """``stars``: the modules whose exports are all handed on; ``offers``: endpoints and settings."""

    path: str
    exports: dict[str, Export] = field(default_factory=dict)
    stars: list[Export] = field(default_factory=list)
    offers: list[Found] = field(default_factory=list)
    own: dict[str, list[MemberEntry]] = field(default_factory=dict)
    """The types that it declares, exported or not."""
    imported: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Local name → (module, name there)."""
    mounts: list[tuple[str, str]] = field(default_factory=list)
    """(module, prefix) of the routers of other modules that it serves."""
    routers: frozenset[str] = frozenset()
    """Its own that it exports."""


def read_exports(path: str, root: Syntax) -> ExportingModule:
    return _Reader(path).read(root)


class _Reader:
    def __init__(self, path: str) -> None:
        self.module = ExportingModule(path)
        self.own: dict[str, list[MemberEntry]] = {}
        self.imported: dict[str, tuple[str, str]] = {}
        self.ambient = path.endswith((".d.ts", ".d.mts", ".d.cts"))

    def read(self, root: Syntax) -> ExportingModule:
        for statement in root.parts:
            self._declare(statement)
        for statement in root.parts:
            if statement.kind == "export_statement":
                self._export(statement)
            elif statement.kind == "expression_statement":
                self._assign(statement)
            elif statement.kind in ("lexical_declaration", "variable_declaration"):
                self._declare_exported(statement)
            elif self.ambient and statement.kind != "import_statement":
                for name, found in declared(statement, statement):
                    self._add(name, Export(statement.line, name, tuple(found)))
        self.module.exports = {
            name: replace(export, entries=tuple(self.own.get(export.local, ()))) if export.local else export
            for name, export in self.module.exports.items()
        }
        self.module.own = {n: es for n, es in self.own.items() if es and es[0].shape.kind in _TYPES}
        self.module.imported = self.imported
        return self.module

    def _declare(self, statement: Syntax) -> None:
        """Take down what the module itself declares and imports, by the names it uses."""
        if statement.kind == "import_statement":
            self.imported.update(_imports(statement))
            return
        inner = statement.get("declaration") if statement.kind == "export_statement" else statement
        for name, found in declared(inner, statement) if inner is not None else ():
            self.own.setdefault(name, []).extend(found)
        for declarator in inner.all("variable_declarator") if inner is not None else []:
            self.imported.update(_required(declarator))

    def _add(self, name: str, export: Export) -> None:
        if not name.startswith("_"):
            there = self.module.exports.get(name)
            if there is not None and there.entries and export.entries:  # overloads; a type and a value of one name
                export = Export(there.line, there.called, (*there.entries, *export.entries))
            self.module.exports[name] = export

    def _export(self, statement: Syntax) -> None:
        source = plain(statement.get("source"))
        declaration, value = statement.get("declaration"), statement.get("value")
        clause, namespace = statement.of("export_clause"), statement.of("namespace_export")
        if clause is not None:
            for one in clause.all("export_specifier"):
                name = one.word("name")
                self._hand_on(one.word("alias") or name, name, source, one)
        elif namespace is not None and source is not None and namespace.parts:
            self._add(namespace.parts[0].text, Export(statement.line, source=source, name="*"))
        elif source is not None:
            self.module.stars.append(Export(statement.line, source=source, name="*"))
        elif declaration is not None and statement.has("default"):
            called = declaration.word("name")
            self._add(DEFAULT, Export(statement.line, called, tuple(entries(declaration, statement))))
        elif declaration is not None:
            for name, found in declared(declaration, statement):
                self._add(name, Export(statement.line, name, tuple(found)))
        elif value is not None:
            self._value(DEFAULT, value, statement)
        elif statement.has("=") and statement.parts:  # export = Name
            self._value(DEFAULT, statement.parts[0], statement)

    def _hand_on(self, exported: str, name: str, source: str | None, at: Syntax) -> None:
        if source is not None:
            self._add(exported, Export(at.line, source=source, name=name))
        elif name in self.imported:
            origin, original = self.imported[name]
            self._add(exported, Export(at.line, source=origin, name=original))
        else:
            called = name if exported == DEFAULT else exported
            self._add(exported, Export(at.line, called, local=name))

    def _value(self, exported: str, value: Syntax, at: Syntax) -> None:
        """Export what an expression is: a name, something required, a function, a class, an object."""
        needed = _require(value)
        if value.kind == "identifier":
            self._hand_on(exported, value.text, None, at)
        elif needed is not None:
            self._add(exported, Export(at.line, source=needed[0], name=needed[1]))
        else:
            called = value.word("name") if exported == DEFAULT else exported
            self._add(exported, Export(at.line, called, tuple(entries(value, at))))

    def _assign(self, statement: Syntax) -> None:
        targets, value = [], statement.parts[0] if statement.parts else statement
        if value.kind == "call_expression":
            self._define(value)
            return
        while value.kind == "assignment_expression":
            left, right = value.get("left"), value.get("right")
            if left is None or right is None:
                return
            targets.append(left)
            value = right
        for target in targets:
            owner, name = target.word("object"), target.word("property")
            if target.kind != "member_expression":
                continue
            if (owner, name) == ("module", "exports"):
                self._export_all(value, statement)
            elif owner in ("exports", "module.exports"):
                self._value(name, value, statement)
            else:
                self._extend(owner.removesuffix(".prototype"), name, value, statement, owner)

    def _declare_exported(self, statement: Syntax) -> None:
        """Read ``var app = module.exports = {}``."""
        for declarator in statement.all("variable_declarator"):
            value = declarator.get("value")
            while value is not None and value.kind == "assignment_expression":
                if value.word("left") == "module.exports":
                    self._hand_on(DEFAULT, declarator.word("name"), None, statement)
                value = value.get("right")

    def _export_all(self, value: Syntax, at: Syntax) -> None:
        """Read ``module.exports = …``: an object's keys are exports, anything else is what the module is."""
        if value.kind != "object":
            self._value(DEFAULT, value, at)
            return
        for part in value.parts:
            inner = part.get("value")
            if part.kind == "shorthand_property_identifier":
                self._hand_on(part.text, part.text, None, part)
            elif part.kind == "spread_element" and part.parts and (needed := _require(part.parts[0])):
                self.module.stars.append(Export(part.line, source=needed[0], name="*"))
            elif part.kind == "pair" and inner is not None and name_of(part):
                self._value(name_of(part), inner, part)
            elif part.kind == "method_definition" and name_of(part):
                self._add(
                    name_of(part), Export(part.line, name_of(part), (MemberEntry("", function(part), part.line),))
                )

    def _extend(self, owner: str, name: str, value: Syntax, at: Syntax, written: str) -> None:
        """Read ``Owner.prototype.name = function …`` and ``owner.name = …``."""
        if owner not in self.own or name.startswith("_") or name in ("prototype", "constructor"):
            return
        on_object = not self.own[owner][:1] or self.own[owner][0].shape.kind == "constant"
        marks = () if written != owner or on_object else ("static",)
        if value.kind in CALLED:
            self.own[owner].append(MemberEntry(f".{name}", function(value, *marks), at.line))
        elif value.kind in ("call_expression", "identifier", "member_expression") and (written != owner or on_object):
            self.own[owner].append(MemberEntry(f".{name}", Shape("function", frozenset(marks)), at.line))
        elif written == owner and value.kind in ("object", "array", "new_expression", *_PLAIN):
            self.own[owner].append(MemberEntry(f".{name}", Shape("field", frozenset(marks)), at.line))

    def _define(self, call: Syntax) -> None:
        """Read ``Object.defineProperty(Owner.prototype, 'name', …)`` and ``Object.defineProperties(Owner.prototype, { … })``."""
        arguments = call.get("arguments")
        given = arguments.parts if arguments is not None else []
        verb = call.word("function")
        if len(given) < 2 or verb not in ("Object.defineProperty", "Object.defineProperties", "Object.assign"):
            return
        owner = given[0].text.removesuffix(".prototype")
        told = (
            [(plain(given[1]) or "", given[1])]
            if verb.endswith("Property")
            else [(name_of(p), p) for p in given[1].parts]
        )
        for name, at in told:
            if not name or name.startswith("_"):
                continue
            if owner in ("exports", "module.exports"):
                self._add(name, Export(at.line, name, (MemberEntry("", Shape("constant"), at.line),)))
            elif owner in self.own:
                value = at if at.kind == "method_definition" else at.get("value")
                called = verb == "Object.assign" and value is not None and value.kind in (*CALLED, "method_definition")
                shape = function(value) if called and value is not None else Shape("field")
                self.own[owner].append(MemberEntry(f".{name}", shape, at.line))


def declared(node: Syntax, about: Syntax) -> Iterator[tuple[str, list[MemberEntry]]]:
    """Yield (name, what it offers) of a declaration statement; overloads come one by one."""
    if node.kind == "ambient_declaration":
        for inner in node.parts:
            yield from declared(inner, about)
    elif node.kind in ("lexical_declaration", "variable_declaration"):
        for declarator in node.all("variable_declarator"):
            name = declarator.get("name")
            if name is not None and name.kind == "identifier":
                yield name.text, variable(declarator, about)
            elif name is not None:
                for part in name.walk():
                    if part.kind in ("shorthand_property_identifier_pattern", "identifier"):
                        yield part.text, entries(part, about)
    elif node.kind in ("internal_module", "module", "expression_statement"):
        module = node if node.kind != "expression_statement" else node.of("internal_module")
        if module is not None and module.get("body") is not None:
            yield module.word("name"), _namespace(module, about)
    elif node.kind in _DECLARED and not _implements_overloads(node, about):
        yield node.word("name"), entries(node, about)


def _namespace(node: Syntax, about: Syntax) -> list[MemberEntry]:
    found = entries(node, about)
    body = node.get("body")
    for statement in body.parts if body is not None else []:
        around = node.parent
        ambient = about.has("declare") or (around is not None and around.kind == "ambient_declaration")
        inner = statement.get("declaration") if statement.kind == "export_statement" else statement if ambient else None
        if inner is None or inner.kind in ("internal_module", "module"):
            continue
        for name, members in declared(inner, statement):
            found += [MemberEntry(f".{name}{m.suffix}", m.shape, m.line) for m in members]
    return found


def _implements_overloads(node: Syntax, about: Syntax) -> bool:
    """Does ``node`` only implement the signatures above it?"""
    if node.kind != "function_declaration" or about.parent is None:
        return False
    at = about.parent.children.index(about)
    before = about.parent.children[at - 1] if at else about
    signature = before.get("declaration") if before.kind == "export_statement" else before
    return (
        signature is not None and signature.kind == "function_signature" and signature.word("name") == node.word("name")
    )


def _imports(statement: Syntax) -> Iterator[tuple[str, tuple[str, str]]]:
    source, clause = plain(statement.get("source")), statement.of("import_clause")
    for part in clause.parts if clause is not None and source is not None else []:
        assert source is not None
        if part.kind == "identifier":
            yield part.text, (source, DEFAULT)
        elif part.kind == "namespace_import" and part.parts:
            yield part.parts[0].text, (source, "*")
        for one in part.all("import_specifier"):
            yield one.word("alias") or one.word("name"), (source, one.word("name"))


def _required(declarator: Syntax) -> Iterator[tuple[str, tuple[str, str]]]:
    name, value = declarator.get("name"), declarator.get("value")
    needed = _require(value) if value is not None else None
    if name is None or needed is None:
        return
    if name.kind == "identifier":
        yield name.text, needed
    elif needed[1] == DEFAULT:
        for part in name.parts:
            if part.kind == "shorthand_property_identifier_pattern":
                yield part.text, (needed[0], part.text)
            elif part.kind == "pair_pattern":
                yield part.word("value"), (needed[0], part.word("key"))


def _require(value: Syntax) -> tuple[str, str] | None:
    """Return (module, export) of ``require('./x')`` and ``require('./x').name``."""
    name = DEFAULT
    if value.kind == "member_expression":
        name, inner = value.word("property"), value.get("object")
        value = inner if inner is not None else value
    arguments = value.get("arguments")
    if (
        value.kind != "call_expression"
        or value.word("function") != "require"
        or arguments is None
        or not arguments.parts
    ):
        return None
    source = plain(arguments.parts[0])
    return (source, name) if source is not None else None
