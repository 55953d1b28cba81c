"""Which gate to propose where none is configured: read from the files that a project's tools leave at its root."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

LOOKED_AT = (
    "pyproject.toml",
    "pytest.ini",
    "tox.ini",
    "setup.cfg",
    "package.json",
    "Cargo.toml",
    "go.mod",
    "Makefile",
    "makefile",
    "GNUmakefile",
    "pom.xml",
    "gradlew",
    "mix.exs",
    "uv.lock",
    "poetry.lock",
    "pnpm-lock.yaml",
    "yarn.lock",
    "bun.lock",
    "bun.lockb",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "conftest.py",
)
"""The files whose text decides (of some it is enough that they are there)."""


PACKAGES = ("package.json", "pyproject.toml", "Cargo.toml", "go.mod", "pom.xml")
"""A folder with one of these is a package of its own."""
_NODE_LOCKS = frozenset(
    {"package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock", "bun.lock", "bun.lockb"}
)


@dataclass(frozen=True)
class GateProposal:
    """``why`` ends the sentence "proposed because of"."""

    gate: str
    command: str
    why: str


def propose(files: Mapping[str, str], python_tests: bool) -> GateProposal | None:
    """Return the gate for a project with these files (name → text) at its root, or None.

    ``python_tests``: there is a ``test_*.py`` below ``tests/`` or ``test/``, or at the root.
    """
    found = (_tox(files), _pytest(files, python_tests), _npm(files), *_others(files), _make(files))
    return next((proposal for proposal in found if proposal is not None), None)


def shortfalls(
    files: Mapping[str, str], packages: Collection[str], *, has_gate: bool, automatic: bool
) -> tuple[str, ...]:
    """Return what a person should know that loki-hooks will not do here by itself, each with what changes that.

    ``packages``: the folders of packages below the root; ``automatic``: set-up is by lock file.
    """
    said = []
    if not has_gate:
        which = f" ({', '.join(sorted(packages)[:3])} …: a monorepo?)" if packages else ""
        said.append(
            f"no gate: nothing at the root says how this project is tested{which}, and without one nothing lands by "
            'itself; write [gates.unit] with command = "…" into loki-hooks.toml and commit it'
        )
    if automatic and _needs_packages(files.get("package.json", "")) and not _NODE_LOCKS & set(files):
        said.append(
            "package.json has no lock file, so set-up installs nothing in new worktrees: commit one (`npm install` "
            'writes it), or set [environment] setup = "npm install" in loki-hooks.toml'
        )
    return tuple(said)


def _needs_packages(text: str) -> bool:
    try:
        value = json.loads(text or "null")
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and bool(value.get("dependencies") or value.get("devDependencies"))


def _pytest(files: Mapping[str, str], python_tests: bool) -> GateProposal | None:
    why = ""
    if "[tool.pytest" in files.get("pyproject.toml", ""):
        why = "[tool.pytest] in pyproject.toml"
    elif "pytest.ini" in files:
        why = "pytest.ini"
    elif "[tool:pytest]" in files.get("setup.cfg", ""):
        why = "[tool:pytest] in setup.cfg"
    elif python_tests:
        why = "the test_*.py files"
    if not why:
        return None
    runner = "uv run " if "uv.lock" in files else "poetry run " if "poetry.lock" in files else ""
    # `python -m` puts the project's root on the path, as most projects without an installed package expect
    return GateProposal("unit", f"{runner}python -m pytest -q" if runner else "python3 -m pytest -q", why)


def _tox(files: Mapping[str, str]) -> GateProposal | None:
    """tox only where nothing says how to run pytest directly: an environment per run is slow for a gate."""
    text = files.get("tox.ini", "")
    pytest_says = "[tool.pytest" in files.get("pyproject.toml", "") or "pytest.ini" in files or "[pytest]" in text
    if re.search(r"^\[(tox|testenv)", text, re.MULTILINE) and not pytest_says:
        return GateProposal("unit", "tox -q", "tox.ini")
    return None


def _npm(files: Mapping[str, str]) -> GateProposal | None:
    try:
        value = json.loads(files.get("package.json", "null"))
        script = value["scripts"]["test"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    if not isinstance(script, str) or not script.strip() or "no test specified" in script:
        return None
    for lock, command in (
        ("pnpm-lock.yaml", "pnpm test"),
        ("yarn.lock", "yarn test"),
        ("bun.lock", "bun run test"),
        ("bun.lockb", "bun run test"),
    ):
        if lock in files:
            return GateProposal("unit", command, 'the "test" script in package.json')
    return GateProposal("unit", "npm test", 'the "test" script in package.json')


def _make(files: Mapping[str, str]) -> GateProposal | None:
    for name in ("Makefile", "makefile", "GNUmakefile"):
        if re.search(r"^test\s*:(?!=)", files.get(name, ""), re.MULTILINE):
            return GateProposal("unit", "make test", f"the target test in {name}")
    return None


def _others(files: Mapping[str, str]) -> tuple[GateProposal | None, ...]:
    table = (
        ("Cargo.toml", "cargo test"),
        ("go.mod", "go test ./..."),
        ("gradlew", "./gradlew test"),
        ("pom.xml", "mvn -q test"),
        ("mix.exs", "mix test"),
    )
    return tuple(GateProposal("unit", command, name) if name in files else None for name, command in table)
