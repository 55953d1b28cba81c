"""Edits that git was told not to look at, or that a setting hides: clean-up keeps them, `restore` brings them back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repo, call
from support.finishing import begun

from loki_hooks.system.git.snapshots import borrowed_objects, look, snapshot

EDIT = "def greet():\n    return 'HELLO'\n"  # as long as what it replaces


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def flag(*flags: str) -> Callable[[Repo, Path], None]:
    def hide(repo: Repo, tree: Path) -> None:
        repo.git("update-index", *flags, "app.py", cwd=tree)
        repo.write("app.py", EDIT, tree)

    return hide


def gone(repo: Repo, tree: Path) -> None:
    repo.git("update-index", "--assume-unchanged", "app.py", cwd=tree)
    (tree / "app.py").unlink()


def lying_monitor(repo: Repo, tree: Path) -> None:
    monitor = tree.parent / "monitor"
    monitor.write_text("#!/bin/sh\nprintf 'token\\0'\n")
    monitor.chmod(0o755)
    repo.git("config", "core.fsmonitor", str(monitor))
    repo.git("update-index", "--fsmonitor", cwd=tree)
    repo.git("status", cwd=tree)
    repo.write("app.py", EDIT, tree)


def same_time_and_size(repo: Repo, tree: Path) -> None:
    path = tree / "app.py"
    before = path.stat()
    os.utime(path, (before.st_atime - 100, before.st_mtime - 100))
    repo.git("update-index", "--refresh", cwd=tree)
    path.write_text(EDIT)
    os.utime(path, (before.st_atime - 100, before.st_mtime - 100))


HIDDEN = {
    "skip": flag("--skip-worktree"),
    "assume": flag("--assume-unchanged"),
    "gone": gone,
    "monitor": lying_monitor,
    "time": same_time_and_size,
}


def test_what_is_hidden_keeps_its_worktree_and_what_sparse_leaves_out_does_not(repo: Repo) -> None:
    made = begun(repo, *HIDDEN, "sparse")
    repo.git("merge", "-q", "--no-edit", *(f"feature/{name}" for name in (*HIDDEN, "sparse")))
    repo.git("config", "--global", "core.trustCtime", "false")
    repo.git("config", "--global", "core.checkStat", "minimal")
    repo.git("config", "--global", "status.showUntrackedFiles", "no")
    for name, hide in HIDDEN.items():
        hide(repo, made.tree_of(name))
        assert repo.git("status", "--porcelain", cwd=made.tree_of(name)) == "", f"the premise of {name}"
    repo.git("sparse-checkout", "set", "--no-cone", "/sparse.txt", cwd=made.tree_of("sparse"))
    done = repo.loki("cleanup", "--json")
    found = {
        entry["stream"].removeprefix("feature-"): (entry["action"], entry["reasons"]) for entry in json.loads(done.out)
    }
    assert found.pop("sparse")[0] == "remove"
    assert found == dict.fromkeys(HIDDEN, ("keep", ["uncommitted changes: app.py"]))
    for name in HIDDEN.keys() - {"gone"}:
        assert (made.tree_of(name) / "app.py").read_text() == EDIT


def test_abandoned_with_hidden_edits_and_restored(repo: Repo) -> None:
    made = begun(repo)
    repo.commit("Settings", {"local.ini": "default\n", "prod.env": "TOKEN=none\n"})
    made.open("a")
    tree = made.tree_of("a")
    repo.git("update-index", "--skip-worktree", "local.ini", "prod.env", cwd=tree)
    repo.git("update-index", "--assume-unchanged", "app.py", cwd=tree)
    files = {"local.ini": "mine\n", "prod.env": "TOKEN=secret\n", "app.py": EDIT, "new.txt": "new\n"}
    for name, text in files.items():
        repo.write(name, text, tree)
    done = repo.loki("finish", "a", "--abandon")
    assert done.code == 0, done.err
    assert not tree.exists()
    assert "TOKEN=secret" not in repo.git("log", "--all", "-p", "--format=")
    assert repo.loki("restore", "a").code == 0
    assert {name: (tree / name).read_text() for name in files} == files


def test_a_snapshot_holds_what_is_hidden_and_leaves_the_flags(repo: Repo) -> None:
    repo.git("update-index", "--skip-worktree", "app.py")
    flags = repo.git("ls-files", "-v")
    repo.write("app.py", EDIT)
    seen = look(repo.path, lambda _: False)
    assert seen is not None
    assert (seen.dirty, seen.paths) == (True, ("app.py",))
    with borrowed_objects(repo.path / ".git") as objects:
        commit = snapshot(repo.path, seen.head, seen.paths, objects)
        shown = call(["git", "show", f"{commit}:app.py"], repo.path, objects)
    assert shown.out == EDIT
    assert repo.git("ls-files", "-v") == flags


def test_a_gate_does_not_run_over_a_hidden_edit(repo: Repo) -> None:
    made = begun(repo, "a", more="")
    made.ready("a")
    made.run()
    testing = repo.path.parent / "project-testing"
    repo.git("update-index", "--skip-worktree", "app.py", cwd=testing)
    repo.write("app.py", EDIT, testing)
    repo.commit("Go on", {"app.py": "changed = True\n"})
    repo.loki("test")
    assert (testing / "app.py").read_text() == EDIT
