"""git's front door in Python: light, harmless to git, closed where it is a gate."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import pytest
from conftest import Done, Repo, call, eventually

from loki_hooks.assets import package_dir
from loki_hooks.hooks.caller import cleaned, framework

HEAVY = (
    "click",
    "pydantic",
    "pygit2",
    "psutil",
    "platformdirs",
    "subprocess",
    "json",
    "pathlib",
    "dataclasses",
    "typing",
)
TRIGGERS = ("post-checkout", "post-commit", "post-merge", "post-rewrite")


def hook(
    repo: Repo,
    name: str,
    *words: str,
    cwd: Path | None = None,
    package: Path | None = None,
    stdin: str = "",
    env: dict[str, str] | None = None,
) -> Done:
    main = (package or package_dir()) / "__main__.py"
    return call([sys.executable, "-I", "-S", str(main), "hook", name, *words], cwd or repo.path, env, stdin)


@pytest.fixture
def recorder(tmp_path: Path) -> Path:
    """The package with a worker that only writes down how it was started."""
    package = tmp_path / "lib" / "loki_hooks"
    shutil.copytree(package_dir(), package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "workers" / "main.py").write_text(
        "import json, os, sys, time\n"
        "def run_worker(words):\n"
        f"    with open({str(tmp_path / 'started')!r}, 'a') as file:\n"
        "        file.write(json.dumps([words, dict(os.environ), os.getcwd()]) + '\\n')\n"
        "    time.sleep(float(os.environ.get('SLOW', '0')))\n"
        f"    open({str(tmp_path / 'ended')!r}, 'a').close()\n"
        "    return 0\n"
    )
    return package


def turn_on(repo: Repo) -> None:
    (repo.path / ".git" / "loki").mkdir()
    (repo.path / ".git" / "loki" / "enabled").write_text("test\n")
    (repo.path / ".loki" / "logs").mkdir(parents=True)
    (repo.path / ".loki" / ".gitignore").write_text("*\n")


def started(tmp_path: Path) -> list[object]:
    import json

    file = tmp_path / "started"
    eventually(lambda: file.exists() and file.read_text().endswith("]\n"), 10)  # it is written in parts
    found = json.loads(file.read_text().splitlines()[-1])
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_trigger_imports_nothing_heavy(repo: Repo, recorder: Path, name: str) -> None:
    turn_on(repo)
    code = (
        f"import sys; sys.path.insert(0, {str(recorder.parent)!r})\n"
        "from loki_hooks.hooks.front_door import run_hook\n"
        f"assert run_hook([{name!r}]) == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = call([sys.executable, "-I", "-S", "-c", code], repo.path)
    assert done == Done(0, "[]\n", "")


def test_the_worker_is_told_what_happened_where_and_whom_to_wait_for(
    repo: Repo, recorder: Path, tmp_path: Path
) -> None:
    turn_on(repo)
    (repo.path / ".git" / "hooks" / "post-commit").write_text(
        f'#!/bin/sh\n"{sys.executable}" -I -S "{recorder}/__main__.py" hook post-commit "$@"\nexit 0\n'
    )
    (repo.path / ".git" / "hooks" / "post-commit").chmod(0o755)
    repo.git("commit", "-q", "--allow-empty", "-m", "x", env={"PYTHONPATH": "/nowhere", "VIRTUAL_ENV": "/nowhere"})
    words, env, cwd = started(tmp_path)
    assert isinstance(words, list)
    assert isinstance(env, dict)
    assert words[:5] == ["worker", "reconcile", "post-commit", "native", str(repo.path)]
    pids = [word.partition("=") for word in words[5:]]
    assert len(pids) >= 2  # the script and git at least
    assert all(pid.isdecimal() and start for pid, _, start in pids)
    assert cwd == str(repo.path)
    assert not {"GIT_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "PYTHONPATH", "VIRTUAL_ENV"} & set(env)
    assert env["PATH"]


def test_git_returns_while_the_worker_goes_on(repo: Repo, recorder: Path, tmp_path: Path) -> None:
    """Nothing of git's is inherited: who captures git's output gets its end at once."""
    turn_on(repo)
    hook_file = repo.path / ".git" / "hooks" / "post-commit"
    hook_file.write_text(f'#!/bin/sh\n"{sys.executable}" -I -S "{recorder}/__main__.py" hook post-commit\n')
    hook_file.chmod(0o755)
    begun = time.monotonic()
    repo.git("commit", "-q", "--allow-empty", "-m", "x", env={"SLOW": "8"})
    assert time.monotonic() - begun < 6
    started(tmp_path)
    assert not (tmp_path / "ended").exists()


@pytest.mark.parametrize(
    ("variables", "by"),
    [({"PRE_COMMIT": "1"}, "pre-commit"), ({"PRE_COMMIT": "1", "PREK_HOOK_STAGE": "post-merge"}, "prek")],
)
def test_being_run_by_a_framework_turns_loki_on(
    repo: Repo, recorder: Path, tmp_path: Path, variables: dict[str, str], by: str
) -> None:
    assert hook(repo, "post-merge", package=recorder, env=variables).code == 0
    words, env, _ = started(tmp_path)
    assert isinstance(words, list)
    assert isinstance(env, dict)
    assert words[3] == by
    assert len(words) > 5  # no git above: the framework's own processes are waited for
    assert not [name for name in env if name.startswith("PRE")]
    assert (repo.path / ".git" / "loki" / "enabled").read_text() == f"{by}\n"


def test_who_runs_a_hook() -> None:
    assert framework({}) == "native"
    assert framework({"PRE_COMMIT": "1"}) == "pre-commit"
    assert framework({"PRE_COMMIT": "1", "PREK_HOOK_STAGE": "pre-push"}) == "prek"
    assert framework({"PRE_COMMIT": "1", "PRE_COMMIT_RUNNING_LEGACY": "1"}) == "native"
    assert framework({"PRE_COMMIT": "1", "PREK_RUNNING_LEGACY": "1"}) == "native"


def test_only_the_frameworks_own_folder_leaves_path() -> None:
    ours = str(Path(sys.executable).parent)
    path = os.pathsep.join((ours, "/usr/lib/git-core", ours, "/bin"))
    assert cleaned({"PATH": path, "PRE_COMMIT": "1"})["PATH"] == path.removeprefix(ours + os.pathsep)
    assert cleaned({"PATH": path})["PATH"] == path
    users = os.pathsep.join(("/usr/lib/git-core", ours))
    assert cleaned({"PATH": users, "PRE_COMMIT": "1"})["PATH"] == users


def test_a_notice_for_the_branch_is_one_harmless_line(repo: Repo, recorder: Path) -> None:
    turn_on(repo)
    notices = repo.path / ".loki" / "state" / "notices"
    notices.mkdir(parents=True)
    repo.git("switch", "-q", "-c", "feature/a")
    (notices / "checkout-feature-a").write_text("far behind \x1b[31m main\nsecond line\n")
    (notices / "commit-feature-a").write_text("collides with b\n")
    assert hook(repo, "post-checkout", package=recorder).err == "loki-hooks: far behind \\x1b[31m main\n"
    assert hook(repo, "post-commit", package=recorder).err == "loki-hooks: collides with b\n"
    assert hook(repo, "post-merge", package=recorder).err == ""
    repo.git("switch", "-q", "--detach")
    assert hook(repo, "post-checkout", package=recorder).err == ""


def test_a_notice_is_found_from_a_linked_worktree_and_never_through_a_link(
    repo: Repo, recorder: Path, tmp_path: Path
) -> None:
    turn_on(repo)
    notices = repo.path / ".loki" / "state" / "notices"
    notices.mkdir(parents=True)
    other = tmp_path / "work" / "other"
    repo.git("worktree", "add", "-q", str(other), "-b", "other")
    (notices / "checkout-other").write_text("hello\n")
    assert hook(repo, "post-checkout", cwd=other, package=recorder).err == "loki-hooks: hello\n"
    (notices / "checkout-other").unlink()
    (notices / "checkout-other").symlink_to("/etc/hostname")
    assert hook(repo, "post-checkout", cwd=other, package=recorder).err == ""


def test_our_own_fault_in_a_trigger_warns_names_the_log_and_lets_git_go_on(repo: Repo, recorder: Path) -> None:
    turn_on(repo)
    (recorder / "hooks" / "post_merge.py").write_text("def run(words):\n    raise ZeroDivisionError('ours')\n")
    done = hook(repo, "post-merge", package=recorder)
    log = repo.path / ".loki" / "logs" / "hooks.log"
    assert (done.code, done.out, done.err.count("\n")) == (0, "", 1)
    assert str(log) in done.err
    assert "ZeroDivisionError: ours" in log.read_text()
    assert repo.git("status", "--porcelain") == ""


def test_our_own_fault_in_a_gate_closes_it(repo: Repo, recorder: Path) -> None:
    turn_on(repo)
    (recorder / "hooks" / "pre_push.py").write_text("def run(words):\n    raise ZeroDivisionError('ours')\n")
    shutil.rmtree(repo.path / ".loki")  # as after `git clean -xdf`: the log then stays out of the worktree
    done = hook(repo, "pre-push", "origin", "url", package=recorder)
    assert done.code == 1
    assert "ZeroDivisionError: ours" in (repo.path / ".git" / "loki" / "hooks.log").read_text()
    assert not (repo.path / ".loki").exists()


def test_what_a_gate_refuses_is_said_with_a_hint(repo: Repo, recorder: Path) -> None:
    turn_on(repo)
    (recorder / "hooks" / "pre_push.py").write_text(
        "from loki_hooks.errors import LokiError\ndef run(words):\n    raise LokiError('red', 'make it green')\n"
    )
    assert hook(repo, "pre-push", package=recorder) == Done(1, "", "loki-hooks: red\nhint: make it green\n")


def test_an_unknown_hook_is_wrong_usage(repo: Repo) -> None:
    assert hook(repo, "pre-commit").code == 2
