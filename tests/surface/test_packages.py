"""What packages say of themselves: an application or a library, and which modules are entries."""

from __future__ import annotations

import json

import pytest

from loki_hooks.domain.surface import Aspect
from loki_hooks.surface.compare import compare_sources
from loki_hooks.surface.packages import Packages, manifest_paths

BUILT = '[build-system]\nrequires = ["hatchling"]\n'
NAMED = '[project]\nname = "pump"\n'
SCRIPT = '[project.scripts]\npump = "pump.cli:main"\n'
EXPORTS = "from pump.core import fill\n\n__all__ = ['fill']\n"


def manifest(**said: object) -> str:
    return json.dumps({"name": "pump", "version": "1.0.0", **said})


@pytest.mark.parametrize(
    ("path", "files", "application"),
    [
        ("pump/core.py", {}, False),
        ("pump/core.py", {"pyproject.toml": BUILT + NAMED}, False),
        ("pump/core.py", {"pyproject.toml": NAMED}, True),
        ("pump/core.py", {"pyproject.toml": "[tool.ruff]\n", "requirements.txt": ""}, True),
        ("pump/core.py", {"pyproject.toml": "[tool.ruff]\n"}, False),
        ("shop/views.py", {"manage.py": ""}, True),
        ("pump/core.py", {"setup.py": "setup(name='pump')", "manage.py": "", "pump/__init__.py": ""}, False),
        ("pump/core.py", {"pyproject.toml": BUILT + NAMED + SCRIPT, "pump/__init__.py": "__version__ = '1'\n"}, True),
        ("pump/core.py", {"pyproject.toml": BUILT + NAMED + SCRIPT, "pump/__init__.py": EXPORTS}, False),
        (
            "pump/core.py",
            {"pyproject.toml": BUILT + NAMED + SCRIPT, "pump/__init__.py": "from pump.log import say\nsay()\n"},
            True,
        ),
        ("pump/core.py", {"pyproject.toml": BUILT + '[tool.poetry]\nname = "pump"\npackage-mode = false\n'}, True),
        ("src/a.ts", {"package.json": manifest(main="dist/a.js")}, False),
        ("src/a.ts", {"package.json": manifest(private=True, main="dist/a.js")}, True),
        ("src/a.ts", {"package.json": manifest(bin={"pump": "cli.js"})}, True),
        (
            "packages/a/src/a.ts",
            {"package.json": manifest(private=True), "packages/a/package.json": manifest(main="a.js")},
            False,
        ),
        ("store/store.go", {"go.mod": "module x\n", "main.go": "package main\n"}, True),
        ("store/store.go", {"go.mod": "module x\n", "x.go": "package x\n", "cmd/x/main.go": "package main\n"}, False),
        ("store/store.go", {"go.mod": "module x\n", "cmd/x/main.go": "package main\n"}, True),
        ("store/store.go", {"go.mod": "module x\n"}, False),
        ("src/a.rs", {"Cargo.toml": '[package]\nname = "x"\n', "src/lib.rs": ""}, False),
        ("src/a.rs", {"Cargo.toml": '[package]\nname = "x"\npublish = false\n', "src/lib.rs": ""}, True),
        ("src/a.rs", {"Cargo.toml": '[package]\nname = "x"\n', "src/main.rs": ""}, True),
        ("src/main/java/A.java", {"pom.xml": "<packaging>jar</packaging>"}, False),
        ("src/main/java/A.java", {"pom.xml": "<packaging>war</packaging>"}, True),
        (
            "src/main/java/A.java",
            {"build.gradle.kts": 'plugins {\n    id("org.springframework.boot") version "3"\n}\n'},
            True,
        ),
        ("src/main/java/A.java", {"build.gradle": "plugins {\n  id 'java-library'\n}\n"}, False),
        ("lib/a.rb", {"a.gemspec": "", "Gemfile": "", "config.ru": ""}, False),
        ("lib/a.rb", {"Gemfile": "", "config/application.rb": ""}, True),
    ],
)
def test_who_can_import_it(path: str, files: dict[str, str], application: bool) -> None:
    paths = {path, *files}
    known = {name: files[name] for name in manifest_paths([path], paths) if name in files}
    assert Packages(known, paths).is_application(path) is application
    assert Packages(known, paths, "library").is_application(path) is False
    assert Packages(known, paths, "application").is_application(path) is True


@pytest.mark.parametrize(
    ("said", "entries"),
    [
        ({"main": "pump.js"}, {"pump.js"}),
        ({"main": "dist/index.js", "types": "dist/index.d.ts"}, {"src/index.ts"}),
        (
            {"exports": {".": {"import": "./dist/index.mjs"}, "./deep": "./dist/deep/part.js"}},
            {"src/index.ts", "src/deep/part.ts"},
        ),
        ({"exports": {"./*": "./dist/deep/*.js"}}, {"src/deep/part.ts", "src/deep/other.ts"}),
        ({}, {"index.js"}),
        ({"main": "dist/nowhere.js"}, None),
    ],
)
def test_entries_are_found_where_they_are_built_from(said: dict[str, object], entries: set[str] | None) -> None:
    paths = [
        "package.json",
        "pump.js",
        "index.js",
        "src/index.ts",
        "src/deep/part.ts",
        "src/deep/other.ts",
        "src/inner.ts",
    ]
    packages = Packages({"package.json": manifest(**said)}, paths)
    assert packages.entries("src/inner.ts") == (entries if entries is None else frozenset(entries))


def test_of_an_application_options_and_routes_are_told_and_its_modules_are_not() -> None:
    before = {"pump/views.py": "def cart(request): ...\n"}
    text = "import os\n\n\ndef cart(request, slug): ...\n\n\nTOKEN = os.environ['PUMP_TOKEN']\n"
    found = compare_sources(before, {"pump/views.py": text}, Packages(paths=["manage.py", "pump/views.py"]))
    assert [(change.aspect, change.symbol) for change in found.changes] == [(Aspect.CONFIG, "PUMP_TOKEN")]
