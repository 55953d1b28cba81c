"""The public names of Python modules, and what each leads to through re-exports.

Griffe reads the modules; which of their names are public is decided here. Names are public by ``__all__`` where a module has
one; else by having no leading underscore and being defined there or, in a package's ``__init__``, being imported from
inside the project.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from loki_hooks.surface.python.marks import DefinitionMarks
from loki_hooks.surface.python.shapes import Base, ClassShape, shapes_of
from loki_hooks.surface.python.source import Module, Modules, dotted, dotted_name, text_of
from loki_hooks.surface.python.spelling import spelled

if TYPE_CHECKING:
    import griffe

_NOT_PUBLIC = frozenset({"setup.py", "noxfile.py", "conftest.py", "__main__.py", "manage.py", "fabfile.py"})
_FOLDERS = "scripts tools bin tasks ci hack docs doc examples example benchmarks benchmark samples"
_SCRIPTS = frozenset(_FOLDERS.split())
"""At the top of a repository, and without an ``__init__``: programs, not modules."""
_TYPE_VARIABLES = frozenset({"TypeVar", "ParamSpec", "TypeVarTuple"})
_ROOTS = frozenset({"src", "lib", "python"})
_READ_BY_FRAMEWORKS = frozenset({"migrations", "alembic", "versions", "management"})
Key = tuple[str, str]
"""The name that a module is imported by, and a name in it."""
Place = tuple[str, str]
"""A module's path, and a name in it."""


@dataclass(frozen=True)
class Definition:
    """Where a name leads: a member of a known module; or, with ``path`` '', something outside of what is known."""

    path: str
    name: str


def is_public_module(path: str, packages: Collection[str]) -> bool:
    """Return whether others import the module. ``packages``: the folders known to have an ``__init__``."""
    *folders, name = PurePosixPath(path).parts
    if name in _NOT_PUBLIC or not _READ_BY_FRAMEWORKS.isdisjoint(folders):
        return False
    if (name.startswith("_") and not name.startswith("__init__")) or any(f.startswith(("_", ".")) for f in folders):
        return False
    return not (folders and folders[0] in _SCRIPTS and folders[0] not in packages)


def packages_of(paths: Iterable[str]) -> set[str]:
    """Return the folders that have an ``__init__`` among the paths."""
    return {path.rpartition("/")[0] for path in paths if PurePosixPath(path).stem == "__init__"}


def import_names(paths: Collection[str]) -> dict[str, str]:
    """Return the name that each module is imported by, so that ``client.py`` and ``client/__init__.py`` are the same one.

    It begins below the topmost package, or below ``src``. Where several files would have one name each keeps its whole
    path; of a module and its stub, only the stub counts.
    """
    packages = packages_of(paths)
    files: dict[str, list[str]] = {}
    for path in paths:
        parts = dotted_name(path).split(".")
        above = path.split("/")[:-1]
        root = len(above)
        while root and "/".join(above[:root]) in packages:
            root -= 1
        if root == len(above):
            root = 1 if parts[0] in _ROOTS and len(parts) > 1 else 0
        files.setdefault(".".join(parts[root:]) or parts[-1], []).append(path)
    found: dict[str, str] = {}
    for name, same in files.items():
        stubs = {path for path in same if path.endswith(".pyi")}
        kept = [path for path in same if path in stubs or f"{path}i" not in stubs]
        found.update({kept[0]: name} if len(kept) == 1 else {path: dotted_name(path) for path in kept})
    return found


def _is_type(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Subscript | ast.BinOp) or (isinstance(value, ast.Name) and value.id[:1].isupper())


def _appended(tree: ast.Module) -> Iterator[str]:
    """Yield the names of ``__all__.append("name")`` and ``__all__.extend(["name"])``."""
    for node in tree.body:
        call = node.value if isinstance(node, ast.Expr) else None
        if isinstance(call, ast.Call) and dotted(call.func) in {"__all__.append", "__all__.extend"} and call.args:
            first = call.args[0]
            for item in first.elts if isinstance(first, ast.List | ast.Tuple) else [first]:
                if (text := text_of(item)) is not None:
                    yield text


def _is_admin(module: Module) -> bool:
    """Whether the module sets up Django's administration: the framework reads it, and nobody else."""
    targets = module.imports.names.values()
    return PurePosixPath(module.path).stem == "admin" and any(t.startswith("django.contrib") for t in targets)


def _take_in_overloads(model: griffe.Module | griffe.Class) -> None:
    """Make a member of each function of which there are only overloads, as in a stub."""
    for name, overloads in list(model.overloads.items()):
        if overloads and name not in model.members:
            function = overloads[-1]
            function.overloads = list(overloads)
            model.set_member(name, function)
    for member in list(model.members.values()):
        if not member.is_alias and member.is_class:
            _take_in_overloads(member)  # type: ignore[arg-type]


class Surface:
    """The public names of one side."""

    def __init__(
        self,
        modules: Modules,
        marks: Mapping[str, Mapping[str, DefinitionMarks]],
        handlers: Collection[Place],
        models: dict[int, griffe.Module],
    ) -> None:
        self.modules = modules
        self._marks = marks
        self._handlers = frozenset(handlers)
        self._models = models
        self._aliases: dict[str, str] | None = None
        self.known_as = import_names(modules.by_path)
        """Of each module, by path."""
        self.by_name = {name: modules.by_path[path] for path, name in self.known_as.items()}

    def read(self, module: Module) -> griffe.Module:
        """Return Griffe's model of the module."""
        model = self._models.get(id(module))
        if model is None:
            import griffe

            visitor = griffe.Visitor(module.dotted, Path(module.path), "", griffe.Extensions())
            with griffe.logger.disable():
                visitor.visit(module.tree)
            model = self._models[id(module)] = visitor.current.module
            _take_in_overloads(model)
        return model

    def own(self, module: Module, name: str) -> griffe.Object | None:
        """Return what the module itself defines by the name; None for an import. (Griffe's aliases raise on every question.)"""
        member = self.read(module).members.get(name)
        return None if member is None or member.is_alias else member  # type: ignore[return-value]

    def public(self) -> dict[Key, Definition]:
        """Return every public name, with what it leads to."""
        packages = packages_of(self.modules.by_path)
        found = {}
        for path, known_as in self.known_as.items():
            module = self.modules.by_path[path]
            if is_public_module(path, packages) and not _is_admin(module):
                for name in self.names(module):
                    definition = self.resolve(module, name)
                    if definition and (definition.path, definition.name) not in self._handlers:
                        found[known_as, name] = definition
        return found

    def names(self, module: Module, trail: frozenset[str] = frozenset()) -> list[str]:
        """Return the public names of a module, those that a star would import included."""
        exports = self.exports(module)
        if exports is not None:
            return exports
        names = [n for n in self.read(module).members if not n.startswith("_") and self._promised(module, n)]
        if not module.is_package:
            return names + sorted(n for n in module.imports.explicit if not n.startswith("_"))
        names += [n for n, target in module.imports.names.items() if self._handed_on(module, n, target)]
        for star in module.imports.stars:
            found = self.modules.find(star, module.path)
            if found and not found[1] and found[0].path not in trail:
                names += self.names(found[0], trail | {module.path})
        return list(dict.fromkeys(names))

    def exports(self, module: Module, trail: frozenset[str] = frozenset()) -> list[str] | None:
        """Return what ``__all__`` says, sums with other modules' ``__all__`` included; None where there is none."""
        said = self.read(module).exports
        if not said:
            return None
        names: list[str] = list(_appended(module.tree))
        for item in said:
            if isinstance(item, str):
                names.append(item)
            elif (source := getattr(item, "parent", None)) is not None:
                target = module.imports.full(str(getattr(source, "name", "")))
                found = self.modules.find(target, module.path)
                if found and not found[1] and found[0].path not in trail | {module.path}:
                    names += self.exports(found[0], trail | {module.path}) or []
        return list(dict.fromkeys(names))

    def _promised(self, module: Module, name: str) -> bool:
        """Whether a name defined there is one that others use: not a logger, an application, a variable of the module's own."""
        member = self.own(module, name)
        if member is None or not member.is_attribute:
            return member is not None
        if str(getattr(member, "value", "")).partition("(")[0].rpartition(".")[2] in _TYPE_VARIABLES:
            return False
        if name[:1].isupper() or getattr(member, "annotation", None) is not None:
            return True
        other = self.own(module, str(getattr(member, "value", None)))
        return other is not None and not other.is_attribute

    def _handed_on(self, module: Module, name: str, target: str) -> bool:
        if name.startswith("_") or name in module.imports.typing_only:
            return False
        if name in module.imports.explicit:
            return True
        if name in module.used:
            return False
        found = self.modules.find(target, module.path)
        if found:
            return bool(found[1])  # a module itself stays where it is
        return target.partition(".")[0] in PurePosixPath(module.path).parts

    def resolve(self, module: Module, name: str, trail: frozenset[Place] = frozenset()) -> Definition | None:
        """Return what the name leads to; None where the module has no such name."""
        if (module.path, name) in trail:
            return None
        trail |= {(module.path, name)}
        member = self.own(module, name)
        if member is not None:
            value = str(getattr(member, "value", "")) if member.is_attribute else ""
            if value.isidentifier() and value in self.read(module).members:
                return self.resolve(module, value, trail) or Definition(module.path, name)
            return Definition(module.path, name)
        if target := module.imports.names.get(name):
            return self._follow(target, module, trail)
        for star in module.imports.stars:
            found = self.modules.find(star, module.path)
            if found is None:
                continue
            if not found[1] and name in self.names(found[0], frozenset({module.path})):
                return self.resolve(found[0], name, trail)
        return Definition("", name) if name in module.lazy else None

    def _follow(self, target: str, module: Module, trail: frozenset[Place]) -> Definition | None:
        found = self.modules.find(target, module.path)
        if found is None or found[0] is module or "." in found[1]:
            return Definition("", target.rpartition(".")[2])
        if not found[1]:
            return Definition("", target)
        return self.resolve(found[0], found[1], trail) or Definition("", found[1])

    def behind_stub(self, definition: Definition) -> Definition | None:
        """Return what the code has of which ``definition`` is the stub's word; None for what is no stub's, or not there."""
        module = (
            self.modules.by_path.get(definition.path.removesuffix("i")) if definition.path.endswith(".pyi") else None
        )
        return self.resolve(module, definition.name) if module is not None else None

    def aliases(self) -> dict[str, str]:
        """Return private names that modules give to types, with what they stand for."""
        if self._aliases is None:
            self._aliases = {}
            for path, module in self.modules.by_path.items():
                hidden = "/_" in f"/{path.removesuffix('__init__.py')}"
                for node in module.tree.body:
                    target = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
                    target = node.target if isinstance(node, ast.AnnAssign) else target
                    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
                    if isinstance(target, ast.Name) and (hidden or target.id.startswith("_")) and _is_type(value):
                        assert value is not None
                        self._aliases[target.id] = spelled(ast.unparse(value))
        return self._aliases

    def importable(self, key: Key) -> Definition | None:
        """Return what ``from module import name`` gives, public or not."""
        module = self.by_name.get(key[0])
        return self.resolve(module, key[1]) if module else None

    def has_exports(self, known_as: str) -> bool:
        module = self.by_name.get(known_as)
        return module is not None and self.exports(module) is not None

    def shapes(self, symbol: str, definition: Definition, *, inherited: bool) -> dict[str, ClassShape]:
        """Return the shapes of the definition and its members by qualified name; with what all known bases give it, or only
        what comes from private ones."""
        module = self.modules.by_path.get(definition.path)
        thing = self.own(module, definition.name) if module else None
        if module is None or thing is None:
            return {}
        bases = list(self._bases(module, thing, inherited, frozenset())) if thing.is_class else []  # type: ignore[arg-type]
        return dict(shapes_of(symbol, thing, self._marks.get(module.path, {}), definition.name, bases))

    def _bases(self, module: Module, cls: griffe.Class, inherited: bool, trail: frozenset[Place]) -> Iterator[Base]:
        for base in cls.bases:
            name = module.imports.full(str(base).partition("[")[0])
            if "." in name or name in module.imports.names:
                target = self._follow(name, module, frozenset())
            else:
                target = self.resolve(module, name)
            if target is None or not target.path or (target.path, target.name) in trail:
                continue
            home = self.modules.by_path[target.path]
            found = self.own(home, target.name)
            if found is None or not found.is_class:
                continue
            private = target.name.startswith("_") or not is_public_module(target.path, ())
            yield Base(found, inherited or private)  # type: ignore[arg-type]
            yield from self._bases(home, found, inherited, trail | {(target.path, target.name)})  # type: ignore[arg-type]
