"""Set-up by lock file: which commands, in which order, with what around them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.worktrees.setup_plan import LOOKED_FOR, places, plan_auto

PY = "/usr/bin/python3"


@pytest.mark.parametrize(
    ("files", "commands"),
    [
        (["uv.lock", "pyproject.toml"], ["uv sync --frozen"]),
        (["poetry.lock", "pyproject.toml"], ["poetry install --no-interaction"]),
        (["pdm.lock", "pyproject.toml"], ["pdm sync"]),
        (["pnpm-lock.yaml"], ["pnpm install --frozen-lockfile"]),
        (["yarn.lock"], ["yarn install --frozen-lockfile"]),
        (["bun.lock"], ["bun install --frozen-lockfile"]),
        (["bun.lockb"], ["bun install --frozen-lockfile"]),
        (["package-lock.json"], ["npm ci --no-audit --no-fund"]),
        (["pnpm-lock.yaml", "package-lock.json"], ["pnpm install --frozen-lockfile"]),
        (["Cargo.lock"], ["cargo fetch --locked"]),
        (["go.sum", "go.mod"], ["go mod download"]),
        (["Gemfile.lock"], ["bundle install"]),
        (["composer.lock"], ["composer install --no-interaction --no-progress"]),
        (["pom.xml"], ["mvn -B -q dependency:go-offline"]),
        (["pom.xml", "mvnw"], ["./mvnw -B -q dependency:go-offline"]),
        (["gradle.lockfile", "gradlew"], ["./gradlew --no-daemon --quiet dependencies"]),
        (
            ["requirements.txt"],
            [
                f"{PY} -m venv .venv",
                ".venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt",
            ],
        ),
        (
            ["uv.lock", "package-lock.json", "Cargo.lock"],
            ["uv sync --frozen", "npm ci --no-audit --no-fund", "cargo fetch --locked"],
        ),
    ],
)
def test_each_ecosystem_by_its_lock_file(files: list[str], commands: list[str]) -> None:
    plan = plan_auto(files, {}, PY)
    assert plan is not None
    assert [" ".join(argv) for argv in plan.commands] == commands
    assert set(plan.inputs) <= set(files)
    assert plan.env["HUSKY"] == "0"


@pytest.mark.parametrize("files", [[], ["package.json"], ["go.mod"], ["gradlew"], ["setup.cfg"], ["pyproject.toml"]])
def test_without_a_lock_file_or_a_project_nothing_runs(files: list[str]) -> None:
    assert plan_auto(files, {}, PY) is None


def test_newer_yarn_has_another_word_for_frozen() -> None:
    plan = plan_auto(["yarn.lock"], {"yarn.lock": "# yarn\n\n__metadata:\n  version: 8\n"}, PY)
    assert plan is not None
    assert plan.commands == (("yarn", "install", "--immutable"),)
    assert plan.warm == ("node_modules",)


def test_a_python_project_is_installed_editable_with_what_its_tests_need() -> None:
    text = (
        '[project]\nname = "x"\n[project.optional-dependencies]\ntest = ["pytest"]\ndocs = ["sphinx"]\n'
        '[dependency-groups]\ndev = ["mypy", {include-group = "x"}]\n'
    )
    plan = plan_auto(["pyproject.toml", "requirements-dev.txt"], {"pyproject.toml": text}, PY)
    assert plan is not None
    assert plan.commands[1][-5:] == ("-e", ".[test]", "-r", "requirements-dev.txt", "mypy")
    assert plan_auto(["pyproject.toml"], {"pyproject.toml": "[tool.x]\n"}, PY) is None
    assert plan_auto(["pyproject.toml"], {"pyproject.toml": "not toml ["}, PY) is None


def test_what_only_warms_a_cache_is_optional_and_what_installs_is_not() -> None:
    jvm, cargo = plan_auto(["pom.xml"], {}, PY), plan_auto(["Cargo.lock"], {}, PY)
    assert jvm is not None
    assert cargo is not None
    assert jvm.steps[0].optional
    assert not cargo.steps[0].optional


def test_packages_stay_in_the_worktree() -> None:
    assert places("/w", ["uv.lock"])["UV_PROJECT_ENVIRONMENT"] == "/w/.venv"
    assert places("/w", ["poetry.lock"])["POETRY_VIRTUALENVS_IN_PROJECT"] == "true"
    assert places("/w", ["pdm.lock"])["PDM_VENV_IN_PROJECT"] == "true"
    assert places("/w", ["Gemfile.lock"])["BUNDLE_PATH"] == "/w/vendor/bundle"
    assert places("/w", [])["UV_PROJECT_ENVIRONMENT"] == "", "the caller's own would be another worktree's"


@given(st.sets(st.sampled_from(LOOKED_FOR)), st.text(max_size=60))
def test_any_mixture_is_a_plan_or_none(files: set[str], text: str) -> None:
    plan = plan_auto(files, {"pyproject.toml": text, "yarn.lock": text}, PY)
    if plan is not None:
        assert plan.steps
        assert plan.why
        assert ".venv" not in plan.warm, "a virtual environment holds its own place"
        assert len({argv[:1] for argv in plan.commands if argv[0] in {"pnpm", "yarn", "bun", "npm"}}) <= 1
