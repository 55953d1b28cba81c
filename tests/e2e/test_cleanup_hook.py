"""Clean-up by the post-merge hook under real pre-commit, whose stash makes a tree look clean while the hook runs."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import Repo, eventually
from support.look import quiet, state_of, worktrees
from support.small import begin
from support.troubles import TROUBLES

from e2e.conftest import Hooks

DANGEROUS = ("staged", "unstaged", "untracked", "ignored", "process", "merge", "stash", "detached", "more")


@pytest.mark.slow
@pytest.mark.network
def test_the_dangerous_ones_stay_and_the_clean_one_goes(repo: Repo, hooks: Hooks, tmp_path: Path) -> None:
    small = begin(repo, hooks, "pre-commit", tmp_path / "ran", more={"notes.txt": "1\n"})
    repo.write(".gitignore", ".env\nsecret/\n")
    repo.commit("Ignore")
    names = (*DANGEROUS, "clean")
    done = repo.loki("spawn", "--no-launch", *names)
    assert done.code == 0, done.err
    trees = {name: small.beside(f"project-feature-{name}") for name in names}
    for name, tree in trees.items():
        repo.commit(f"Work of {name}", {f"{name}.txt": "w\n"}, cwd=tree)
    quiet(repo)
    with ExitStack() as stack:
        for name in DANGEROUS:
            TROUBLES[name][0](repo, trees[name], stack)
        before = {name: repo.git("status", "--porcelain", "--ignored", cwd=trees[name]) for name in DANGEROUS}
        tips = {name: repo.git("rev-parse", f"feature/{name}") for name in DANGEROUS}
        repo.write("notes.txt", "my unstaged edit\n")  # pre-commit stashes it around the hook
        merged = [f"feature/{name}" if name not in {"more", "merge"} else f"feature/{name}~1" for name in names]
        repo.git("merge", "-q", "--no-ff", "-m", "Merge them all", *merged, env={"LOKI_HOOKS_DISABLE": ""})
        eventually(lambda: "project-feature-clean" not in worktrees(repo), 60, "the clean one to go")
        quiet_but_sleepers(repo, trees["process"])
        assert repo.path.joinpath("notes.txt").read_text() == "my unstaged edit\n"
        for name in DANGEROUS:
            assert trees[name].is_dir(), name
            assert repo.git("status", "--porcelain", "--ignored", cwd=trees[name]) == before[name], name
            assert repo.git("rev-parse", f"feature/{name}") == tips[name], name
    assert state_of(repo, "feature-clean") == "archived"


def quiet_but_sleepers(repo: Repo, tree: Path) -> None:
    """Wait until only the process that the test put into ``tree`` is left."""
    from support.look import our_processes

    eventually(lambda: all("sleep" in words for words in our_processes(repo)), 60, "our processes to end")
