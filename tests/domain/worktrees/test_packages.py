"""Which folders of a repository are packages of their own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.worktrees.packages import DEEPEST, MOST, packages
from loki_hooks.domain.worktrees.setup_plan import plan_packages

FILES = st.sampled_from(["package.json", "uv.lock", "a.txt", "package-lock.json", "pyproject.toml"])
PATHS = st.builds(lambda parts, name: "/".join([*parts, name]), st.lists(st.sampled_from("abcd")), FILES)


def test_folders_with_a_manifest_or_a_lock_file_but_not_what_is_there_to_be_read() -> None:
    paths = [
        "package.json",
        "apps/web/package.json",
        "api/uv.lock",
        "api/x.py",
        "tests/fixtures/a/package.json",
        "a/b/c/d/go.mod",
    ]
    assert packages(paths) == {"apps/web": {"package.json"}, "api": {"uv.lock"}}


def test_only_a_lock_file_has_a_package_installed() -> None:
    found: dict[str, tuple[list[str], dict[str, str]]]
    found = {"a": (["package.json"], {}), "b": (["package-lock.json", "yarn.lock"], {}), "c": (["uv.lock"], {})}
    plan = plan_packages(found, "python3")
    assert plan is not None
    assert [(step.folder, step.argv[0]) for step in plan.steps] == [("b", "yarn"), ("c", "uv")]
    assert plan.inputs == ("b/yarn.lock", "c/uv.lock")
    assert plan.why == "b/yarn.lock, c/uv.lock"
    beside = plan_packages(found, "python3", ["package-lock.json", "pyproject.toml"])
    assert beside is not None
    assert [(step.folder, step.argv[0], step.optional) for step in beside.steps] == [("c", "uv", True)]
    assert plan_packages({"a": (["package.json"], {})}, "python3") is None


@given(st.lists(PATHS, max_size=40))
def test_packages_are_few_and_not_deep(paths: list[str]) -> None:
    found = packages(paths)
    assert len(found) <= MOST
    assert all(folder and len(folder.split("/")) <= DEEPEST for folder in found)
