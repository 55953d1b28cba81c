"""Whatever a repository looks like, after `cleanup` every commit and every byte is still somewhere.

Random repositories: streams with commits that were merged, squashed, picked, partly so, reverted or not at all, and
left clean, dirty or detached; then clean-up, by a person and by a pass.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Repo
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.scripted import Yard, snapshot, yard

WAYS = ("no", "merge", "squash", "pick", "pick-some", "squash-revert", "rebase-merge")
STATES = ("clean", "staged", "unstaged", "untracked", "ignored", "detached", "stash", "cache")
NAMES = ("a", "b", "c")


@dataclass(frozen=True)
class Life:
    """What becomes of one stream: how many commits, how it came to main, how its worktree was left."""

    commits: int
    way: str
    state: str
    shared: bool


lives = st.builds(Life, st.integers(0, 2), st.sampled_from(WAYS), st.sampled_from(STATES), st.booleans())


@pytest.mark.slow
@given(st.lists(lives, min_size=len(NAMES), max_size=len(NAMES)), st.booleans())
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_every_commit_and_every_byte_is_somewhere(tmp_path: Path, chosen: list[Life], by_pass: bool) -> None:
    shutil.rmtree(tmp_path / "work", ignore_errors=True)
    shutil.rmtree(tmp_path / "outside", ignore_errors=True)
    path = tmp_path / "work" / "project"
    path.mkdir(parents=True)
    repo = Repo(path)
    repo.git("init", "-q")
    repo.commit("Begin", {"app.py": "def greet():\n    return 'hello'\n"})
    made = yard(repo, gate=False)
    repo.commit("Ignore", {".gitignore": "secret/\n__pycache__/\n"})
    made.open(*NAMES)
    for name, life in zip(NAMES, chosen, strict=True):
        live(made, name, life)
    commits = set(repo.git("rev-list", "--all", "--reflog").split())
    held = {name: contents(made.tree_of(name)) for name in NAMES}
    main = repo.git("rev-parse", "main")
    if by_pass:
        done = repo.loki("run", "--once", "--json", env={"LOKI_TRUST": "1"})
    else:
        done = repo.loki("cleanup", "--json", env={"LOKI_TRUST": "1"})
    assert done.code == 0, done.err
    json.loads(done.out)
    assert repo.git("rev-parse", "main") == main
    reachable = set(repo.git("rev-list", "--all", "--reflog", "HEAD").split())
    for entry in repo.git("worktree", "list", "--porcelain").splitlines():
        if entry.startswith("HEAD "):
            reachable |= set(repo.git("rev-list", entry.removeprefix("HEAD ")).split())
    assert commits <= reachable, (chosen, commits - reachable)
    blobs = {line.split()[0] for line in repo.git("rev-list", "--objects", "--all").splitlines()}
    for name, files in held.items():
        tree = made.tree_of(name)
        left = contents(tree) if tree.exists() else {}
        for file, text in files.items():
            if left.get(file) == text or "__pycache__" in file:
                continue
            blob = hashed(repo, bytes.fromhex(text))
            assert blob in blobs, (chosen, name, file)


def contents(tree: Path) -> dict[str, str]:
    return {name: text for name, text in snapshot(tree).items() if name != ".git"}


def hashed(repo: Repo, data: bytes) -> str:
    scratch = repo.path.parent / "scratch"
    scratch.write_bytes(data)
    return repo.git("hash-object", str(scratch))


def live(made: Yard, name: str, life: Life) -> None:
    """Let the stream have this life."""
    repo, tree = made.repo, made.tree_of(name)
    for number in range(life.commits):
        file = "app.py" if life.shared and number == 0 else f"{name}{number}.txt"
        repo.commit(f"{name} {number}", {file: f"{name} {number}\n"}, cwd=tree)
    branch = f"feature/{name}"
    commits = repo.git("rev-list", "--reverse", f"main..{branch}").split()
    if commits:
        arrive(repo, branch, commits, life.way, tree)
        repo.commit(f"Go on after {name}", {f"after-{name}.txt": "x\n"})
    leave(repo, tree, life.state)


def arrive(repo: Repo, branch: str, commits: list[str], way: str, tree: Path) -> None:
    """Bring the branch to main in this way, as far as it goes without a conflict."""
    if way == "merge" and repo.try_git("merge", "-q", "--no-ff", "-m", "Merge", branch).code:
        repo.git("merge", "--abort")
    elif way.startswith("squash"):
        if repo.try_git("merge", "-q", "--squash", branch).code:
            repo.git("reset", "-q", "--hard")
        elif repo.try_git("commit", "-q", "-m", "Squashed").code == 0 and way == "squash-revert":
            repo.git("revert", "--no-edit", "HEAD")
    elif way.startswith("pick"):
        for commit in commits[: 1 if way == "pick-some" else None]:
            if repo.try_git("cherry-pick", commit).code:
                repo.try_git("cherry-pick", "--abort")
    elif way == "rebase-merge":
        if repo.try_git("rebase", "-q", "main", cwd=tree).code:
            repo.try_git("rebase", "--abort", cwd=tree)
        else:
            repo.git("merge", "-q", "--ff-only", branch)


def leave(repo: Repo, tree: Path, state: str) -> None:
    """Leave the worktree in this state."""
    if state == "staged":
        repo.write("new.txt", f"staged {tree.name}\n", tree)
        repo.git("add", "new.txt", cwd=tree)
    elif state == "unstaged":
        repo.write("app.py", f"unstaged {tree.name}\n", tree)
    elif state == "untracked":
        repo.write("new.txt", f"untracked {tree.name}\n", tree)
    elif state == "ignored":
        repo.write("secret/db", f"ignored {tree.name}\n", tree)
    elif state == "cache":
        repo.write("__pycache__/x.pyc", "cache\n", tree)
    elif state == "detached":
        repo.git("switch", "-q", "--detach", cwd=tree)
        repo.commit("Lonely", {"lonely.txt": f"{tree.name}\n"}, cwd=tree)
    elif state == "stash":
        repo.write("app.py", f"stashed {tree.name}\n", tree)
        repo.git("stash", cwd=tree)
