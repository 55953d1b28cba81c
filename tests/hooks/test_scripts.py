"""The sh scripts end early without starting Python, and answer rightly when there is no Python to start."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from conftest import Done, Repo, call

from loki_hooks.assets import asset_dir
from loki_hooks.domain.install.values import HOOKS
from loki_hooks.system.git_env import GIT_LOCAL_ENV

GATES = ("pre-push", "pre-merge-commit")
TRIGGERS = tuple(name for name in HOOKS if name not in GATES)


class Place:
    """A repository with our scripts copied as `install` copies them, and a Python that only leaves a trace."""

    def __init__(self, repo: Repo, tmp_path: Path) -> None:
        self.repo = repo
        self.private = repo.path / ".git" / "loki"
        shutil.copytree(asset_dir("hooks"), self.private / "hooks")
        (self.private / "enabled").write_text("test\n")
        self.trace = tmp_path / "trace"
        python = tmp_path / "tracing python"
        python.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> "{self.trace}"\nexit 7\n')
        python.chmod(0o755)
        self.main = tmp_path / "__main__.py"
        self.main.write_text("")
        self.point_at(python)

    def point_at(self, python: Path) -> None:
        (self.private / "python").write_text(f"{python}\n{self.main}\n")

    def run(self, name: str, *args: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> Done:
        return call([str(self.private / "hooks" / name), *args], cwd or self.repo.path, env, stdin="")

    @property
    def started(self) -> list[str]:
        lines = self.trace.read_text().splitlines() if self.trace.exists() else []
        self.trace.unlink(missing_ok=True)
        return lines


@pytest.fixture
def place(repo: Repo, tmp_path: Path) -> Place:
    return Place(repo, tmp_path)


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_trigger_hands_over_and_exits_zero_whatever_python_says(place: Place, name: str) -> None:
    args = {"post-checkout": ("a", "b", "1"), "post-merge": ("0",), "post-rewrite": ("rebase",)}.get(name, ())
    assert place.run(name, *args).code == 0
    assert place.started == [" ".join(["-I", "-S", str(place.main), "hook", name, *args])]


@pytest.mark.parametrize("name", GATES)
def test_a_gate_hands_over_and_its_answer_is_pythons(place: Place, name: str) -> None:
    assert place.run(name, "origin", "url").code == 7
    assert place.started == [f"-I {place.main} hook {name} origin url"]


@pytest.mark.parametrize("name", HOOKS)
def test_nothing_starts_when_switched_off_by_the_variable(place: Place, name: str) -> None:
    done = place.run(name, env={"LOKI_HOOKS_DISABLE": "1"})
    assert (done, place.started) == (Done(0, "", ""), [])


@pytest.mark.parametrize("name", HOOKS)
def test_nothing_starts_where_loki_is_not_on(place: Place, name: str) -> None:
    (place.private / "enabled").unlink()
    assert (place.run(name), place.started) == (Done(0, "", ""), [])


@pytest.mark.parametrize("name", HOOKS)
@pytest.mark.parametrize("variable", [{"PRE_COMMIT": "1"}, {"PREK_HOOK_STAGE": "x"}])
def test_being_run_by_a_framework_is_enough(place: Place, name: str, variable: dict[str, str]) -> None:
    (place.private / "enabled").unlink()
    place.run(name, env=variable)
    assert len(place.started) == 1


@pytest.mark.parametrize(
    ("name", "args", "env"),
    [
        ("post-checkout", ("a", "b", "0"), {}),
        ("post-checkout", (), {"PRE_COMMIT": "1", "PRE_COMMIT_CHECKOUT_TYPE": "0"}),
        ("post-merge", ("1",), {}),
        ("post-merge", (), {"PRE_COMMIT": "1", "PRE_COMMIT_IS_SQUASH_MERGE": "1"}),
        ("post-merge", (), {"PRE_COMMIT": "1", "PRE_COMMIT_SQUASH_MERGE": "1"}),
        ("post-rewrite", ("amend",), {}),
        ("post-rewrite", (), {"PRE_COMMIT": "1", "PRE_COMMIT_REWRITE_COMMAND": "amend"}),
    ],
)
def test_events_that_change_nothing_end_in_sh(
    place: Place, name: str, args: tuple[str, ...], env: dict[str, str]
) -> None:
    assert (place.run(name, *args, env=env), place.started) == (Done(0, "", ""), [])


@pytest.mark.parametrize("folder", ["rebase-merge", "rebase-apply"])
@pytest.mark.parametrize("name", ["post-checkout", "post-commit"])
def test_the_steps_of_a_rebase_end_in_sh(place: Place, name: str, folder: str) -> None:
    (place.repo.path / ".git" / folder).mkdir()
    assert (place.run(name, "a", "b", "1"), place.started) == (Done(0, "", ""), [])


def test_a_rebase_in_another_worktree_is_not_ours(place: Place, tmp_path: Path) -> None:
    place.repo.git("worktree", "add", "-q", str(tmp_path / "work" / "other"), "-b", "other")
    (place.repo.path / ".git" / "rebase-merge").mkdir()
    place.run("post-checkout", "a", "b", "1", cwd=tmp_path / "work" / "other")
    assert len(place.started) == 1
    (place.repo.path / ".git" / "worktrees" / "other" / "rebase-merge").mkdir()
    place.run("post-checkout", "a", "b", "1", cwd=tmp_path / "work" / "other")
    assert place.started == []


def test_the_common_git_dir_is_found_from_git_dir_too(place: Place, tmp_path: Path) -> None:
    other = tmp_path / "work" / "other"
    place.repo.git("worktree", "add", "-q", str(other), "-b", "other")
    place.run("post-commit", cwd=other, env={"GIT_DIR": str(place.repo.path / ".git" / "worktrees" / "other")})
    assert len(place.started) == 1


@pytest.mark.parametrize("name", TRIGGERS)
def test_without_python_a_trigger_warns_in_one_line_and_lets_git_go_on(place: Place, name: str, tmp_path: Path) -> None:
    place.point_at(tmp_path / "gone")
    done = place.run(name)
    assert (done.code, done.out, done.err.count("\n")) == (0, "", 1)
    assert str(tmp_path / "gone") in done.err


@pytest.mark.parametrize("name", GATES)
def test_without_python_a_gate_is_closed_and_says_what_to_do(place: Place, name: str, tmp_path: Path) -> None:
    place.point_at(tmp_path / "gone")
    done = place.run(name)
    assert done.code == 1
    assert "loki-hooks install" in done.err
    assert "LOKI_HOOKS_DISABLE=1" in done.err


def test_without_the_package_or_the_pointers_second_line_a_gate_is_closed(place: Place) -> None:
    place.main.unlink()
    assert place.run("pre-push").code == 1
    (place.private / "python").write_text("/bin/sh\n")
    assert place.run("pre-push").code == 1
    (place.private / "hooks" / "prologue.sh").unlink()
    assert place.run("pre-push").code == 1
    assert place.run("post-checkout").code == 0


@pytest.mark.parametrize("name", HOOKS)
def test_beside_a_python_the_script_uses_it(repo: Repo, tmp_path: Path, name: str) -> None:
    """As pip lays the scripts out for pre-commit and prek."""
    scripts = tmp_path / "env" / "bin"
    scripts.mkdir(parents=True)
    for script in asset_dir("hooks").iterdir():
        shutil.copy(script, scripts / f"loki-hooks-{script.name}")
    (scripts / "python").write_text('#!/bin/sh\necho "$@"\n')
    (scripts / "python").chmod(0o755)
    done = call([str(scripts / f"loki-hooks-{name}")], repo.path, {"PRE_COMMIT": "1"}, stdin="")
    assert done.out == f"-I -m loki_hooks hook {name}\n"


def test_in_place_the_python3_on_path_is_used(repo: Repo, tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    (repo.path / ".git" / "loki").mkdir()
    (repo.path / ".git" / "loki" / "enabled").touch()
    script = Path(__file__).parents[2] / "hooks" / "pre-push"
    done = call([str(script)], repo.path, {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"})
    assert done.out.startswith("-I ")
    assert done.out.endswith("/loki_hooks/__main__.py hook pre-push\n")


def test_the_list_of_gits_variables_is_gits(repo: Repo) -> None:
    assert set(repo.git("rev-parse", "--local-env-vars").split()) <= set(GIT_LOCAL_ENV)


@pytest.mark.parametrize("name", [*HOOKS, "prologue.sh"])
@pytest.mark.parametrize("shell", [["dash"], ["bash", "--posix"], ["busybox", "sh"], ["zsh", "--emulate", "sh"]])
def test_every_shell_can_read_the_scripts(name: str, shell: list[str]) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"no {shell[0]}")
    assert call([*shell, "-n", str(asset_dir("hooks") / name)], Path("/")).code == 0


def test_scripts_are_executable() -> None:
    for name in HOOKS:
        assert os.access(asset_dir("hooks") / name, os.X_OK)
    assert sys.executable
