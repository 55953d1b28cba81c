"""What must stay light, how large a room may be, and what is in the package. `.importlinter` holds the arrows."""

from __future__ import annotations

import ast
import functools
import os
import re
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Repo, call

from loki_hooks.assets import asset_dir, package_dir
from loki_hooks.cli.main import COMMANDS
from loki_hooks.system.processes.run import GIT_LOCAL_ENV

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = package_dir()
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "_assets" not in path.parts)
PURE = {"os", "sys", "subprocess", "socket", "shutil", "tempfile", "time", "random", "threading", "signal", "fcntl"}
GRAMMARS = tuple(f"tree_sitter_{name}" for name in ("go", "java", "javascript", "ruby", "rust", "typescript"))
HEAVY = (
    *("click", "griffe", "jinja2", "platformdirs", "psutil", "pydantic", "pygit2", "rich", "ruamel"),
    *("tree_sitter", *GRAMMARS),
)
STARTERS = {f"system/processes/{name}.py" for name in ("run", "start", "detach", "launch", "keeper")}
MOST_LINES, MOST_MODULES = 400, 20
HOOKS = ("post-checkout", "post-commit", "post-merge", "post-rewrite", "pre-merge-commit", "pre-push")


def room(path: Path) -> str:
    inside = path.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return every node of the file."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted name of everything that the file imports, wherever it stands in it."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_module_and_no_room_is_too_large_to_know() -> None:
    long = {name(path): lines for path in MODULES if (lines := len(path.read_text("utf-8").splitlines())) > MOST_LINES}
    assert not long
    folders = {path.parent for path in MODULES} - {PACKAGE / "cli"}
    full = {str(f): len(found) for f in folders if len(found := list(f.glob("*.py"))) > MOST_MODULES + 1}
    assert not full


def test_no_public_class_has_a_name_that_another_one_has() -> None:
    names = Counter(n.name for path in MODULES for n in nodes(path) if isinstance(n, ast.ClassDef))
    assert not [name for name, count in names.items() if count > 1 and not name.startswith("_")]


def test_the_files_that_architecture_names_exist() -> None:
    named = re.findall(r"`([\w/.-]+\.py|[\w/.-]+/)`", (ROOT / "ARCHITECTURE.md").read_text("utf-8"))
    assert len(named) > 100
    there = [path.relative_to(ROOT).as_posix() for path in (*MODULES, *(ROOT / "tests").rglob("*.py"))]
    there += [f"{parent}/" for path in there for parent in Path(path).parents]
    there += ["hooks/", "templates/", "tests/labelled/", "loki/"]
    assert not [n for n in named if not any(f"/{path}".endswith(f"/{n.removeprefix('.')}") for path in there)]


@pytest.mark.parametrize("path", [p for p in MODULES if room(p) == "domain"], ids=name)
def test_the_domain_touches_nothing(path: Path) -> None:
    """No git, files, clock, environment or processes: values in, values out."""
    assert not {word.split(".")[0] for word in imports(path)} & {*PURE, *HEAVY}
    calls = {node.func.id for node in nodes(path) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not calls & {"open", "input", "print"}


@pytest.mark.parametrize("path", [p for p in MODULES if room(p) not in {"cli", "hooks"}], ids=name)
def test_only_the_front_doors_print(path: Path) -> None:
    for node in nodes(path):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"line {node.lineno}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sys":
            assert node.attr not in {"stdout", "stderr", "__stdout__", "__stderr__"}, f"line {node.lineno}"
    assert not {word.split(".")[0] for word in imports(path)} & {"click", "rich"}


@pytest.mark.parametrize("path", [p for p in MODULES if name(p) not in STARTERS], ids=name)
def test_only_these_modules_start_processes(path: Path) -> None:
    assert "subprocess" not in {word.split(".")[0] for word in imports(path)}
    for node in nodes(path):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            assert not node.attr.startswith(("exec", "spawn", "posix_spawn")), f"line {node.lineno}"
            assert node.attr not in {"system", "popen", "fork"}, f"line {node.lineno}"


ASK_GIT_THEMSELVES = {
    "system/git/git.py",  # the hardened caller
    "system/git/drivers.py",  # of the user, in no repository
    "system/worktrees/populate.py",  # a stream of blobs, without replacements
    "system/store/known.py",  # a dialogue on a push's way, without replacements
    "system/hooks/probe.py",  # has git run hooks, as git would
    "actions/requests/demo.py",  # plays the person
}


@pytest.mark.parametrize("path", [p for p in MODULES if name(p) not in ASK_GIT_THEMSELVES], ids=name)
def test_everybody_else_asks_git_through_the_one_hardened_caller(path: Path) -> None:
    for node in nodes(path):
        first = node.elts[0] if isinstance(node, ast.List | ast.Tuple) and node.elts else None
        is_call = isinstance(first, ast.Constant) and first.value == "git" and len(getattr(node, "elts", ())) > 1
        assert not is_call, f"line {getattr(node, 'lineno', 0)}"


@pytest.mark.parametrize("path", [p for p in MODULES if room(p) != "cli"], ids=name)
def test_heavy_libraries_are_imported_where_they_are_used(path: Path) -> None:
    module = nodes(path)[0]
    assert isinstance(module, ast.Module)
    for node in module.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            words = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            assert not [word for word in words if word.split(".")[0] in HEAVY], f"line {node.lineno}"


def test_the_domain_the_system_and_the_actions_load_without_a_heavy_library() -> None:
    light = [p for p in MODULES if room(p) in {"domain", "surface", "system", "actions", "workers", "hooks"}]
    words = [".".join(("loki_hooks", *p.relative_to(PACKAGE).with_suffix("").parts)) for p in light]
    code = (
        f"import importlib, sys\nfor w in {words!r}: importlib.import_module(w)\n"
        f"print([h for h in {HEAVY!r} if h in sys.modules])"
    )
    done = call([sys.executable, "-c", code], ROOT)
    assert (done.out, done.err) == ("[]\n", "")


def test_every_module_says_what_it_is_for() -> None:
    for path in MODULES:
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), name(path)


def test_what_git_exports_into_hooks_is_scrubbed_in_full(repo: Repo) -> None:
    assert set(repo.git("rev-parse", "--local-env-vars").split()) <= set(GIT_LOCAL_ENV)


def test_the_files_that_travel_with_the_package_are_there() -> None:
    for hook in HOOKS:
        path = asset_dir("hooks") / hook
        assert os.access(path, os.X_OK), f"hooks/{hook} must be executable"
        assert path.read_bytes().startswith(b"#!/bin/sh\n")
    assert (asset_dir("hooks") / "prologue.sh").is_file()
    assert any((asset_dir("templates") / "prompts").iterdir())
    assert (PACKAGE / "py.typed").is_file()
    for folder in ("hooks", "templates"):
        assert not list((ROOT / folder).rglob("__init__.py"))


def _shipped(folder: Path) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and not path.name.startswith(".")
        and path.suffix != ".pyc"
    }


@pytest.mark.slow
def test_the_wheel_has_the_package_the_hooks_the_templates_and_nothing_else(tmp_path: Path) -> None:
    done = call([sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(tmp_path), str(ROOT)], ROOT)
    assert done.code == 0, done.err + done.out
    (wheel,) = tmp_path.glob("*.whl")
    names = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    scripts = {n.split(".data/scripts/")[1] for n in names if ".data/scripts/" in n}
    inside = {n for n in names if ".data/" not in n}
    assets = {f"loki_hooks/_assets/{n}" for n in _shipped(ROOT / "hooks") | _shipped(ROOT / "templates")}
    assert inside == _shipped(ROOT / "loki_hooks") | assets
    assert scripts == {f"loki-hooks-{hook}" for hook in (*HOOKS, "prologue.sh")}


@pytest.mark.slow
def test_an_installed_wheel_finds_its_hooks_and_templates(tmp_path: Path) -> None:
    """Unpacked elsewhere, as an installer does, without the checkout beside it."""
    done = call([sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(tmp_path), str(ROOT)], ROOT)
    assert done.code == 0, done.err + done.out
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "from loki_hooks.assets import asset_dir, package_dir\nprint(package_dir())\n"
        "print((asset_dir('hooks') / 'pre-push').is_file(), any(asset_dir('templates').iterdir()))"
    )
    seen = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(tmp_path / "site")},
    )
    assert seen.stdout.splitlines() == [str(tmp_path / "site" / "loki_hooks"), "True True"], seen.stderr


def test_every_command_has_its_module() -> None:
    for command in COMMANDS:
        assert (PACKAGE / "cli" / f"{command}_command.py").is_file(), command
