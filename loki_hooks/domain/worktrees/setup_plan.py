"""What `environment.setup = "auto"` means for a project: by lock file, each ecosystem's own frozen install. Pure.

A project may have several ecosystems; of each one the first lock file in the table counts. What is installed goes
into the worktree where the ecosystem has such a place (`.venv`, `node_modules`, `vendor/bundle`), else into its
shared cache.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

VENV = ".venv"
BUNDLE = "vendor/bundle"


@dataclass(frozen=True)
class SetupStep:
    """One command. ``optional``: a missing program or a failure costs the stream nothing (it only warms a cache, say).

    ``folder``: where it runs, from the worktree's root.
    """

    argv: tuple[str, ...]
    optional: bool = False
    folder: str = ""


@dataclass(frozen=True)
class Setup:
    """What to run to make the project usable, one after the other. ``why`` names what was seen.

    ``inputs``: the files whose change makes it necessary to run again. ``env``: what these commands get beside what
    every command in the worktree gets. ``warm``: ignored folders that spare work when they come along from the main
    worktree (nothing in them says where they are), cloned where the file system can share blocks.
    """

    steps: tuple[SetupStep, ...]
    why: str
    inputs: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    warm: tuple[str, ...] = ()

    @property
    def commands(self) -> tuple[tuple[str, ...], ...]:
        return tuple(step.argv for step in self.steps)


@dataclass(frozen=True)
class _Way:
    lock: str
    argv: tuple[str, ...]
    more: tuple[str, ...] = ()
    warm: tuple[str, ...] = ()


_ECOSYSTEMS: tuple[tuple[_Way, ...], ...] = (
    (
        _Way("uv.lock", ("uv", "sync", "--frozen"), ("pyproject.toml",)),
        _Way("poetry.lock", ("poetry", "install", "--no-interaction"), ("pyproject.toml",)),
        _Way("pdm.lock", ("pdm", "sync"), ("pyproject.toml",)),
    ),
    (
        _Way("pnpm-lock.yaml", ("pnpm", "install", "--frozen-lockfile")),
        _Way("yarn.lock", ("yarn", "install", "--frozen-lockfile"), warm=("node_modules",)),
        _Way("bun.lock", ("bun", "install", "--frozen-lockfile"), warm=("node_modules",)),
        _Way("bun.lockb", ("bun", "install", "--frozen-lockfile"), warm=("node_modules",)),
        _Way("package-lock.json", ("npm", "ci", "--no-audit", "--no-fund")),
        _Way("npm-shrinkwrap.json", ("npm", "ci", "--no-audit", "--no-fund")),
    ),
    (_Way("Cargo.lock", ("cargo", "fetch", "--locked"), warm=("target",)),),
    (_Way("go.sum", ("go", "mod", "download"), ("go.mod",)),),
    (_Way("Gemfile.lock", ("bundle", "install")),),
    (_Way("composer.lock", ("composer", "install", "--no-interaction", "--no-progress"), warm=("vendor",)),),
)
_NODE = frozenset({"npm", "pnpm", "yarn", "bun"})
_DEPENDS = re.compile(r'"(?:dev|optional|peer)?dependencies"\s*:\s*\{\s*"', re.IGNORECASE)
_IMMUTABLE = ("yarn", "install", "--immutable")
_MAVEN = ("-B", "-q", "dependency:go-offline")
_GRADLE = ("--no-daemon", "--quiet", "dependencies")
_REQUIREMENTS = (
    "requirements.txt",
    "requirements-dev.txt",
    "requirements-test.txt",
    "requirements_dev.txt",
    "dev-requirements.txt",
    "test-requirements.txt",
    "requirements/dev.txt",
    "requirements/tests.txt",
    "requirements/test.txt",
)
_PIP_INPUTS = ("pyproject.toml", "setup.py", "setup.cfg", *_REQUIREMENTS)
_JVM = ("pom.xml", "mvnw", "gradle.lockfile", "buildscript-gradle.lockfile", "gradlew")
LOCKS = tuple(way.lock for ways in _ECOSYSTEMS for way in ways)
LOOKED_FOR = (*LOCKS, "package.json", "go.mod", *_PIP_INPUTS, *_JVM)
"""Names, from the worktree's root, whose presence decides."""
READ = ("pyproject.toml", "yarn.lock")
"""Those of them whose content decides, too."""
_DEV_NAMES = ("dev", "test", "tests", "testing")
_QUIET = {"CI": "1", "HUSKY": "0"}
"""Nothing asks on a terminal that is not there, and no install script changes the hooks of all worktrees."""


def plan_auto(present: Collection[str], texts: Mapping[str, str], python: str) -> Setup | None:
    """Return what to run, or None when nothing that is known here was seen.

    ``present``: which of ``LOOKED_FOR`` exist; ``texts``: the content of those in ``READ``; ``python``: the interpreter
    that a virtual environment is made from where no tool brings its own.
    """
    steps: list[SetupStep] = []
    why: list[str] = []
    inputs: list[str] = []
    warm: list[str] = []
    env = dict(_QUIET)
    for number, ways in enumerate(_ECOSYSTEMS):
        way = next((w for w in ways if w.lock in present), None)
        if way is None and number == 0:
            found = _pip(present, texts.get("pyproject.toml", ""), python)
            steps += [SetupStep(argv) for argv in found[0]]
            inputs += found[1]
            why += found[1] if found[0] else ()
        if way is None:
            continue
        berry = way.lock == "yarn.lock" and "\n__metadata:" in f"\n{texts.get('yarn.lock', '')}"
        steps.append(SetupStep(_IMMUTABLE if berry else way.argv))
        why.append(way.lock)
        inputs += [way.lock, *(name for name in way.more if name in present)]
        warm += way.warm
        if way.lock == "Gemfile.lock":
            env["BUNDLE_FROZEN"] = "true"
    jvm, seen = _jvm(present)
    if not steps and not jvm:
        return None
    return Setup((*steps, *jvm), ", ".join([*why, *seen]), (*inputs, *seen), env, tuple(warm))


def plan_packages(
    packages: Mapping[str, tuple[Collection[str], Mapping[str, str]]], python: str, root: Collection[str] = ()
) -> Setup | None:
    """Return what to run for the packages below the root: folder → what `plan_auto` takes.

    A package counts only with a lock file: what else is in a folder of a repository may be there to be read. ``root``: the
    lock files there. An ecosystem that has one is seen to there, and beside it what else is found is optional: the project
    may well be worked on without.
    """
    covered = {way.lock for ways in _ECOSYSTEMS for way in ways if any(other.lock in root for other in ways)}
    plans = {}
    for folder, (present, texts) in packages.items():
        names = set(present) - covered
        plan = plan_auto(names, texts, python) if names.intersection(LOCKS) else None
        if plan is not None:
            plans[folder] = plan
    if not plans:
        return None
    return Setup(
        tuple(
            replace(step, folder=folder, optional=step.optional or bool(root))
            for folder, plan in plans.items()
            for step in plan.steps
        ),
        ", ".join(f"{folder}/{name}" for folder, plan in plans.items() for name in plan.why.split(", ")),
        tuple(f"{folder}/{name}" for folder, plan in plans.items() for name in plan.inputs),
        {name: value for plan in plans.values() for name, value in plan.env.items()},
        tuple(f"{folder}/{name}" for folder, plan in plans.items() for name in plan.warm),
    )


def together(first: Setup | None, second: Setup | None) -> Setup | None:
    """Return one set-up that does both, one after the other."""
    if first is None or second is None:
        return first or second
    return Setup(
        (*first.steps, *second.steps),
        f"{first.why}, {second.why}",
        (*first.inputs, *second.inputs),
        {**first.env, **second.env},
        (*first.warm, *second.warm),
    )


def without_lock(present: Collection[str], package: str) -> str:
    """Return '' or what ``auto`` does not install, and why. ``package``: the text of package.json."""
    locks = {way.lock for ways in _ECOSYSTEMS for way in ways if way.argv[0] in _NODE}
    if "package.json" not in present or locks.intersection(present) or not _DEPENDS.search(package):
        return ""
    return (
        "package.json has no lock file beside it, so set-up installs nothing for it: commit one (`npm install` writes "
        "package-lock.json), or say in environment.setup what to run"
    )


def places(worktree: str, present: Collection[str]) -> dict[str, str]:
    """Return the variables that keep an ecosystem's installed packages in the worktree, '' for those to be unset."""
    found = {"UV_PROJECT_ENVIRONMENT": "", "POETRY_ACTIVE": "", "PDM_PROJECT": "", "BUNDLE_GEMFILE": ""}
    if "uv.lock" in present:
        found["UV_PROJECT_ENVIRONMENT"] = str(PurePosixPath(worktree, VENV))
    if "poetry.lock" in present:
        found |= {"POETRY_VIRTUALENVS_IN_PROJECT": "true", "POETRY_VIRTUALENVS_CREATE": "true"}
    if "pdm.lock" in present:
        found |= {"PDM_USE_VENV": "true", "PDM_VENV_IN_PROJECT": "true", "PDM_IGNORE_SAVED_PYTHON": "1"}
    if "Gemfile.lock" in present:
        found["BUNDLE_PATH"] = str(PurePosixPath(worktree, BUNDLE))
    return found


def _jvm(present: Collection[str]) -> tuple[tuple[SetupStep, ...], tuple[str, ...]]:
    """Maven has no lock file and Gradle seldom one: their caches are warmed, which a build would do by itself."""
    if "pom.xml" in present:
        return (SetupStep(("./mvnw" if "mvnw" in present else "mvn", *_MAVEN), optional=True),), ("pom.xml",)
    locks = tuple(name for name in ("gradle.lockfile", "buildscript-gradle.lockfile") if name in present)
    if locks:
        return (SetupStep(("./gradlew" if "gradlew" in present else "gradle", *_GRADLE), optional=True),), locks
    return (), ()


def _pip(present: Collection[str], pyproject: str, python: str) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """A virtual environment with the project installed editable and what its tests need: (commands, inputs)."""
    inputs = tuple(name for name in _PIP_INPUTS if name in present)
    try:
        project: dict[str, object] = tomllib.loads(pyproject)
    except tomllib.TOMLDecodeError:
        project = {}
    targets: list[str] = []
    if "setup.py" in inputs or "project" in project or "build-system" in project:
        table = project.get("project")
        extras = table.get("optional-dependencies") if isinstance(table, dict) else None
        wanted = [n for n in _DEV_NAMES if isinstance(extras, dict) and n in extras]
        targets += ["-e", f".[{','.join(wanted)}]" if wanted else "."]
    for name in inputs:
        targets += ["-r", name] if name in _REQUIREMENTS else []
    groups = project.get("dependency-groups")
    for name in _DEV_NAMES:
        group = groups.get(name) if isinstance(groups, dict) else None
        targets += [entry for entry in group if isinstance(entry, str)] if isinstance(group, list) else []
    if not targets:
        return (), ()
    pip = str(PurePosixPath(VENV, "bin", "python"))
    return (
        (python, "-m", "venv", VENV),
        (pip, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *targets),
    ), inputs
