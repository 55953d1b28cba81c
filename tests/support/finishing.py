"""What the tests about endings share: streams with work, and what is reachable."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from conftest import Repo

from support.scripted import Yard, yard


def begun(repo: Repo, *names: str, more: str = "[cleanup]\nauto = false\n") -> Yard:
    """Return a yard with an open stream for each name, each with one commit that adds ``<name>.txt``."""
    made = yard(repo, more=more)
    if names:
        made.open(*names)
    for name in names:
        repo.commit(f"Work of {name}", {f"{name}.txt": f"{name}\n"}, cwd=made.tree_of(name))
    return made


def verdict(made: Yard, name: str) -> tuple[str, str]:
    """Return what `cleanup --dry-run` says of the feature: the action, and the reasons as one text."""
    done = made.repo.loki("cleanup", "--dry-run", "--json")
    assert done.code == 0, done.err
    (found,) = [entry for entry in json.loads(done.out) if entry["stream"] == f"feature-{name}"]
    return found["action"], "; ".join(found["reasons"])


def listed(made: Yard) -> list[dict[str, Any]]:
    """Return `restore --list --json`."""
    done = made.repo.loki("restore", "--list", "--json")
    assert done.code == 0, done.err
    return list(json.loads(done.out))


def state_of(tree: Path, repo: Repo) -> tuple[str, str, str]:
    """Return what must be the same after something that was refused: branch, tip, and what is uncommitted."""
    return (
        repo.git("rev-parse", "--symbolic-full-name", "HEAD", cwd=tree),
        repo.git("rev-parse", "HEAD", cwd=tree),
        repo.git("status", "--porcelain", "--ignored", cwd=tree),
    )


# A remote that says it is GitHub ----------------------------------------------------------------------------


def hub(made: Yard, url: str = "https://github.com/o/r.git") -> None:
    """Give the repository a remote that says it is GitHub and is a folder."""
    repo = made.repo
    repo.git("init", "-q", "--bare", "../origin.git")
    repo.git("remote", "add", "origin", url)
    repo.git("config", "remote.origin.pushurl", str(repo.path.parent / "origin.git"))


def fake_gh(made: Yard, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program called gh on PATH that records how it was called: the last words, the last body, a line a call."""
    folder = made.outside / "bin"
    folder.mkdir(exist_ok=True)
    gh = folder / "gh"
    record = (
        f"printf '%s\\n' \"$@\" > '{made.outside}/gh-words'\necho \"$1 $2\" >> '{made.outside}/gh-calls'\n"
        f"cat > '{made.outside}/gh-body'"
    )
    gh.write_text(f"#!/bin/sh\n{record}\n{script}\n")
    gh.chmod(0o755)
    if not os.environ["PATH"].startswith(f"{folder}{os.pathsep}"):
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
