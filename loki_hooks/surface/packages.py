"""Which sources others can import: told by what packages say of themselves (``pyproject.toml``, ``package.json``, ``go.mod``, …).

Nobody imports the modules of an application; its routes, options and settings are all that it offers. Of a library in
JavaScript, only what its manifest names as an entry can be imported. Where nothing is said, everything counts as public.
"""

from __future__ import annotations

import json
import posixpath
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from loki_hooks.surface.entries import entries_of
from loki_hooks.surface.languages import language_of

Surface = Literal["auto", "library", "application"]
_NAMES = {
    "python": (
        "pyproject.toml",
        "setup.py",
        "setup.cfg",
        "manage.py",
        "requirements.txt",
        "Procfile",
        "Dockerfile",
        "Pipfile",
    ),
    "javascript": ("package.json", "jsr.json", "deno.json"),
    "go": ("go.mod",),
    "rust": ("Cargo.toml",),
    "java": ("pom.xml", "build.gradle", "build.gradle.kts"),
    "ruby": ("Gemfile", "Procfile", "config.ru"),
}
_BY_NAME = frozenset({"manage.py", "requirements.txt", "Procfile", "Dockerfile", "Pipfile", "Gemfile", "config.ru"})
"""Only that they are there says something."""
_SCRIPTS = re.compile(r"console_scripts|^\s*scripts\s*=", re.MULTILINE)
_OWN_IMPORT = re.compile(
    r"^(?:from\s+(\S+)\s+import\s+(.+)|__all__\b|(?:async\s+)?def\s+[a-z]|class\s+\w)", re.MULTILINE
)
_ONLY_VERSION = re.compile(r"[\s(,]*(?:_*version\w*|_*\w*version_*|as|annotations|\*)[\s),\\]*", re.IGNORECASE)
_JAVA_PROGRAM = re.compile(
    r"spring-boot-maven-plugin|quarkus-maven-plugin|<packaging>\s*(?:war|ear)\s*<|"
    r"""(?:id|apply plugin:?)\s*\(?\s*["'](?:application|war|com\.android\.application|org\.springframework\.boot|io\.quarkus|"""
    r"""io\.micronaut\.application)["'](?!.*apply\s+false)|^\s*(?:application|war)\s*$""",
    re.MULTILINE,
)
_PACKAGE_CLAUSE = re.compile(r"^package\s+(\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Packages:
    """``texts``: the manifests by path; ``paths``: the whole tree; ``surface``: what the configuration says."""

    texts: Mapping[str, str] = field(default_factory=dict)
    paths: Collection[str] = ()
    surface: Surface = "auto"
    _known: dict[tuple[str, str], bool] = field(default_factory=dict)
    _known_entries: dict[str, frozenset[str] | None] = field(default_factory=dict)

    def is_application(self, path: str) -> bool:
        """Return whether nobody imports the file, since it is part of a program."""
        if self.surface != "auto":
            return self.surface == "application"
        language, folder = language_of(path), posixpath.dirname(path)
        key = (language, _top_package(path, self._there) if language == "python" else folder)
        if key not in self._known:
            self._known[key] = _TOLD[language](self, path) if language in _TOLD else False
        return self._known[key]

    def entries(self, path: str) -> frozenset[str] | None:
        """Return the modules of the file's package that can be imported; None where that is not said: all of them."""
        found = next((m for m in self.manifests(path, "javascript")), None)
        if found is None:
            return None
        if found not in self._known_entries:
            self._known_entries[found] = entries_of(posixpath.dirname(found), _json(self.texts[found]), self._there)
        return self._known_entries[found]

    def manifests(self, path: str, language: str) -> Iterator[str]:
        """Yield the manifests around a file that are at hand, the nearest first."""
        for folder in _folders(path):
            for name in _NAMES[language]:
                if (there := posixpath.join(folder, name)) in self.texts:
                    yield there

    def has(self, folder: str, *names: str) -> bool:
        return any(posixpath.join(folder, name) in self._there for name in names)

    @cached_property
    def _there(self) -> frozenset[str]:
        return frozenset(self.paths)

    # What each language says

    def python(self, path: str) -> bool:
        for folder in _folders(path):
            pyproject = _toml(self.texts.get(posixpath.join(folder, "pyproject.toml"), ""))
            setups = [self.texts.get(posixpath.join(folder, name), "") for name in ("setup.py", "setup.cfg")]
            built = bool(setups[0]) or "[metadata]" in setups[1] or "build-system" in pyproject
            project, poetry = _table(pyproject, "project"), _table(pyproject, "tool", "poetry")
            if built or project.get("name") or poetry.get("name"):
                if _unpublished(pyproject) or not (built or poetry.get("name")):
                    return True
                scripts = bool(project.get("scripts") or poetry.get("scripts")) or any(map(_SCRIPTS.search, setups))
                return scripts and not _exports(self.texts.get(f"{_top_package(path, self._there)}/__init__.py", ""))
        return any(self.has(folder, *_BY_NAME & set(_NAMES["python"])) for folder in _folders(path))

    def javascript(self, path: str) -> bool:
        found = next(self.manifests(path, "javascript"), None)
        said = _json(self.texts[found]) if found else {}
        if not found or not said:
            return False
        if not found.endswith("package.json"):
            return "exports" not in said
        if said.get("private") is True or not said.get("name") or "vscode" in _table(said, "engines"):
            return True
        named = said.keys() & {"main", "module", "exports", "types", "typings", "browser", "source"}
        folder = posixpath.dirname(found)
        return "bin" in said and not named and not self.has(folder, "index.js", "index.ts", "index.mjs", "index.d.ts")

    def go(self, path: str) -> bool:
        found = next(self.manifests(path, "go"), None)
        if found is None:
            return False
        root = posixpath.dirname(found)
        clauses = {
            clause[1]
            for file, text in self.texts.items()
            if file.endswith(".go") and posixpath.dirname(file) == root and (clause := _PACKAGE_CLAUSE.search(text))
        }
        if clauses:
            return clauses == {"main"}
        below = f"{root}/" if root else ""
        return any(p.startswith(f"{below}cmd/") and p.endswith(".go") for p in self._there)

    def rust(self, path: str) -> bool:
        for found in self.manifests(path, "rust"):
            said = _toml(self.texts[found])
            package = _table(said, "package")
            if package:
                folder = posixpath.dirname(found)
                published = package.get("publish", True) not in (False, [])
                return not published or not (self.has(folder, "src/lib.rs") or "lib" in said)
        return False

    def java(self, path: str) -> bool:
        found = next(self.manifests(path, "java"), None)
        return found is not None and _JAVA_PROGRAM.search(self.texts[found]) is not None

    def ruby(self, path: str) -> bool:
        for folder in _folders(path):
            below = f"{folder}/" if folder else ""
            if any(p.endswith(".gemspec") and posixpath.dirname(p) == folder for p in self._gemspecs):
                return False
            if f"{below}Gemfile" in self._there:
                return self.has(
                    folder, "config/application.rb", "config/routes.rb", "config.ru", "Procfile", "bin/rails"
                )
        return False

    @cached_property
    def _gemspecs(self) -> list[str]:
        return [path for path in self._there if path.endswith(".gemspec")]


_TOLD: dict[str, Callable[[Packages, str], bool]] = {
    "python": Packages.python,
    "javascript": Packages.javascript,
    "go": Packages.go,
    "rust": Packages.rust,
    "java": Packages.java,
    "ruby": Packages.ruby,
}
UNKNOWN = Packages()
"""Nothing is said: everything counts as public."""


def manifest_paths(changed: Iterable[str], all_paths: Collection[str]) -> set[str]:
    """Return which files of the tree say what the packages of the changed files are."""
    there = frozenset(all_paths)
    wanted: set[str] = set()
    for path in changed:
        language = language_of(path)
        for folder in _folders(path) if language else ():
            wanted |= {posixpath.join(folder, name) for name in _NAMES[language] if name not in _BY_NAME} & there
        if language == "python" and (top := _top_package(path, there)):
            wanted.add(f"{top}/__init__.py")
    roots = {posixpath.dirname(path) for path in wanted if posixpath.basename(path) == "go.mod"}
    for root in roots:
        own = sorted(p for p in there if p.endswith(".go") and posixpath.dirname(p) == root)
        wanted |= set([p for p in own if not p.endswith("_test.go")][:4])
    return wanted & there


def _folders(path: str) -> Iterator[str]:
    while path:
        path = posixpath.dirname(path)
        yield path


def _top_package(path: str, there: Collection[str]) -> str:
    """Return the topmost package around a Python module, '' for none."""
    found = ""
    for folder in _folders(path):
        if not folder or f"{folder}/__init__.py" not in there:
            break
        found = folder
    return found


def _exports(text: str) -> bool:
    """Return whether a package's ``__init__`` offers anything but its version."""
    for found in _OWN_IMPORT.finditer(text):
        source, names = found[1] or "", found[2] or ""
        word = names.partition(" as ")[2].strip() or names.strip()
        if source and word.isidentifier() and len(re.findall(rf"\b{word}\b", text)) > 1 and "__all__" not in text:
            continue  # it needs the name itself
        if not source or (source.startswith(".") and not _ONLY_VERSION.fullmatch(names.partition("#")[0].strip())):
            return True
        outside = source.partition(".")[0] in {
            "__future__",
            "importlib",
            "typing",
            "os",
            "sys",
            "logging",
            "warnings",
            "pathlib",
        }
        if not outside and not _ONLY_VERSION.fullmatch(names.partition("#")[0].strip()):
            return True
    return False


def _unpublished(pyproject: Mapping[str, Any]) -> bool:
    classifiers = _table(pyproject, "project").get(
        "classifiers", _table(pyproject, "tool", "poetry").get("classifiers", [])
    )
    private = isinstance(classifiers, list) and any("Private ::" in str(one) for one in classifiers)
    modes = (_table(pyproject, "tool", "poetry").get("package-mode"), _table(pyproject, "tool", "uv").get("package"))
    return private or False in modes


def _table(data: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        inner = data.get(key)
        data = inner if isinstance(inner, dict) else {}
    return data


def _toml(text: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def _json(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
