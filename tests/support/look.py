"""How the tests look at a repository from outside: git, files and the process table, never our own code."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import Repo, eventually

from loki_hooks.actions.context import Context
from loki_hooks.actions.sessions.turns import waits_for_somebody
from loki_hooks.system.site import discover


def status(repo: Repo) -> dict[str, Any]:
    """Return `status --json`."""
    done = repo.loki("status", "--json")
    assert done.code == 0, done.err
    value = json.loads(done.out)
    assert isinstance(value, dict)
    return value


def stream(repo: Repo, name: str) -> dict[str, Any] | None:
    """Return what the status says of the stream, None when it is not there."""
    found = [s for s in status(repo)["streams"] if s["name"] == name]
    return found[0] if found else None


def state_of(repo: Repo, name: str) -> str:
    """Return the stream's status as the state file has it, '' for none."""
    try:
        value = json.loads((repo.path / ".loki" / "state" / "orchestrator.json").read_text())
    except (OSError, ValueError):
        return ""
    entry = value["worktrees"].get(name)
    return str(entry["status"]) if entry else ""


def events(repo: Repo, kind: str) -> list[dict[str, Any]]:
    """Return the recorded events of one kind."""
    path = repo.path / ".loki" / "state" / "events.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [entry for entry in map(json.loads, lines) if entry["event"] == kind]


def signals(repo: Repo) -> set[str]:
    """Return the names of the signals that are there."""
    return {path.name for path in repo.signals.glob("[!.]*")} if repo.signals.is_dir() else set()


def refs(repo: Repo, prefix: str) -> dict[str, str]:
    """Return the refs below ``prefix``, with what they point at."""
    listed = repo.git("for-each-ref", "--format=%(refname) %(objectname)", prefix).splitlines()
    return dict(line.split() for line in listed)


def worktrees(repo: Repo) -> dict[str, str]:
    """Return the worktrees that git lists: the folder's name, and its branch ('' when detached)."""
    found = {}
    for block in repo.git("worktree", "list", "--porcelain").split("\n\n"):
        lines = dict(line.partition(" ")[::2] for line in block.splitlines())
        found[Path(lines["worktree"]).name] = lines.get("branch", "").removeprefix("refs/heads/")
    return found


def our_processes(repo: Repo) -> list[str]:
    """Return the command lines of live processes, other than the tests', that have to do with this repository."""
    about = str(repo.path.parent)
    found = []
    mine = {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    for entry in os.scandir("/proc"):  # psutil would cost more than what is waited for
        if not entry.name.isdigit() or int(entry.name) in mine:
            continue
        with contextlib.suppress(OSError):  # it has ended meanwhile
            words = Path(entry.path, "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
            if about in words or str(Path(entry.path, "cwd").readlink()).startswith(about):
                found.append(words)
    return found


def quiet(repo: Repo, timeout: float = 60) -> None:
    """Wait until no process of ours has anything to do with the repository any more, but for one that waits for a person."""
    calm = 0
    left: list[str] = []
    site = discover(repo.path)

    def nothing_runs() -> bool:
        nonlocal calm, left
        left = our_processes(repo)
        if any(" worker turns " in words for words in left) and waits_for_somebody(Context(site)):
            left = [words for words in left if " worker turns " not in words]
        calm = 0 if left else calm + 1
        return calm >= 2  # one that ends may have started the next

    try:
        eventually(nothing_runs, timeout)
    except pytest.fail.Exception:
        pytest.fail(f"these stay: {left}")
