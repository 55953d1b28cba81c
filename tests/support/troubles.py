"""Everything that must keep a merged worktree, as things that people do to one: name → (what they do, what is said)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from conftest import Repo

Trouble = Callable[[Repo, Path, ExitStack], object]


def _git_dir(repo: Repo, tree: Path) -> Path:
    return Path(repo.git("rev-parse", "--absolute-git-dir", cwd=tree))


def _process(repo: Repo, tree: Path, stack: ExitStack) -> None:
    child = subprocess.Popen(["sleep", "300"], cwd=tree)
    stack.callback(child.wait)
    stack.callback(child.kill)


def _open_file(repo: Repo, tree: Path, stack: ExitStack) -> None:
    code = f"import time; f = open({str(tree / 'app.py')!r}); print('open', flush=True); time.sleep(300)"
    child = subprocess.Popen([sys.executable, "-c", code], cwd="/", stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    stack.callback(child.stdout.close)
    stack.callback(child.wait)
    stack.callback(child.kill)


def _conflict(*words: str) -> Trouble:
    """Stop in the middle of a git operation on a side branch that conflicts."""

    def make(repo: Repo, tree: Path, stack: ExitStack) -> None:
        side = f"side-{tree.name}"
        repo.git("branch", side, "HEAD", cwd=tree)
        other = repo.git("commit-tree", "-p", side, "-m", "Side", _tree_with(repo, tree, "side\n"), cwd=tree)
        repo.git("update-ref", f"refs/heads/{side}", other)
        mine = repo.git("commit-tree", "-p", "HEAD", "-m", "Mine", _tree_with(repo, tree, "mine\n"), cwd=tree)
        repo.git("reset", "-q", "--hard", mine, cwd=tree)
        assert repo.try_git(*(w.replace("SIDE", side) for w in words), cwd=tree).code

    return make


def _tree_with(repo: Repo, tree: Path, text: str) -> str:
    file = tree / ".git-text"
    file.write_text(text)
    blob = repo.git("hash-object", "-w", str(file), cwd=tree)
    file.unlink()
    listing = repo.git("ls-tree", "HEAD", cwd=tree) + f"\n100644 blob {blob}\tclash.txt\n"
    made = subprocess.run(["git", "mktree"], cwd=tree, input=listing, text=True, capture_output=True, check=True)
    return made.stdout.strip()


def _bisect(repo: Repo, tree: Path, stack: ExitStack) -> None:
    repo.git("bisect", "start", cwd=tree)


def _am(repo: Repo, tree: Path, stack: ExitStack) -> None:
    patch = tree.parent / f"{tree.name}.patch"
    patch.write_text(
        "From: A <a@b.c>\nSubject: x\n\n---\n"
        "diff --git a/app.py b/app.py\n--- a/app.py\n+++ b/app.py\n@@ -1 +1 @@\n-no such line\n+x\n--\n2\n"
    )
    assert repo.try_git("am", str(patch), cwd=tree).code


def _stash(repo: Repo, tree: Path, stack: ExitStack) -> None:
    repo.write("app.py", "stashed\n", tree)
    repo.git("stash", cwd=tree)


def _detached(repo: Repo, tree: Path, stack: ExitStack) -> None:
    repo.git("switch", "-q", "--detach", cwd=tree)
    repo.commit("Lonely", {"lonely.txt": "l"}, cwd=tree)


def _nested(repo: Repo, tree: Path, stack: ExitStack) -> None:
    repo.git("worktree", "add", "-q", "-b", f"nested-{tree.name}", str(tree / "build" / "nested"))


TROUBLES: dict[str, tuple[Trouble, str]] = {
    "staged": (lambda r, t, s: (r.write("app.py", "x\n", t), r.git("add", "app.py", cwd=t)), "uncommitted changes"),
    "unstaged": (lambda r, t, s: r.write("app.py", "x\n", t), "uncommitted changes"),
    "deleted": (lambda r, t, s: (t / "app.py").unlink(), "uncommitted changes"),
    "untracked": (lambda r, t, s: r.write("new.txt", "n\n", t), "untracked files"),
    "ignored": (lambda r, t, s: r.write("secret/db", "p\n", t), "ignored files"),
    "environment": (lambda r, t, s: r.write(".env", "CHANGED=1\n", t), "ignored files"),
    "process": (_process, "live processes"),
    "open-file": (_open_file, "live processes"),
    "lock": (lambda r, t, s: r.git("worktree", "lock", "--reason", "agent pid 4194999", str(t)), "process 4194999"),
    "rebase": (_conflict("rebase", "SIDE"), "rebase"),
    "merge": (_conflict("merge", "SIDE"), "merge"),
    "cherry-pick": (_conflict("cherry-pick", "SIDE"), "cherry-pick"),
    "revert": (lambda r, t, s: (_git_dir(r, t) / "REVERT_HEAD").write_text(r.git("rev-parse", "HEAD")), "revert"),
    "bisect": (_bisect, "bisect"),
    "am": (_am, "am is in progress"),
    "stash": (_stash, "stashes"),
    "detached": (_detached, "nowhere else"),
    "nested": (_nested, "other worktrees"),
    "more": (lambda r, t, s: r.commit("More", {"more.txt": "m"}, cwd=t), "not in the integration branch"),
}
