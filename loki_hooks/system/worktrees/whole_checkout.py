"""Have a worktree hold every file of its tree, and git look at each: no sparse checkout, no flag in the index.

`git worktree add` copies the main worktree's sparse checkout: patterns to ``<git dir>/info/sparse-checkout``, settings to
``<git dir>/config.worktree``. Without the patterns git leaves nothing out, also where the configuration that all worktrees share
says ``core.sparseCheckout``. What was left out is marked in the index (``skip-worktree``), as is a file that somebody told git not
to look at (``assume-unchanged``).
"""

from __future__ import annotations

import os
from pathlib import Path

from loki_hooks.system.git.git import Git, split_z
from loki_hooks.system.git.operations import git_dir_of

_TIMEOUT = 1800.0
_OFF = ("core.sparseCheckout", "core.sparseCheckoutCone", "index.sparse")


def make_whole(worktree: Path) -> None:
    """Bring back every file that a sparse checkout left out of a linked worktree, and take git's blinkers off.

    What is there is not touched: where it is not what the index says, `git status` shows it from then on.
    """
    git, git_dir = Git(worktree), git_dir_of(worktree)
    (git_dir / "info" / "sparse-checkout").unlink(missing_ok=True)
    settings = git_dir / "config.worktree"
    if settings.is_file():
        for key in _OFF:
            if git.config(key) not in {None, "false"}:
                git.out("config", "--file", str(settings), key, "false")
    flagged = [entry for entry in split_z(git.out("ls-files", "-v", "-z")) if entry[0] == "S" or entry[0].islower()]
    if not flagged:
        return
    names = [entry[2:] for entry in flagged]
    for flag in ("--no-skip-worktree", "--no-assume-unchanged"):
        git.out("update-index", flag, "-z", "--stdin", stdin=_listed(names))
    missing = [name for name in names if not os.path.lexists(worktree / name)]
    git.out("checkout-index", "--force", "--index", "-z", "--stdin", stdin=_listed(missing), timeout=_TIMEOUT)


def _listed(names: list[str]) -> bytes:
    return "".join(f"{name}\0" for name in names).encode("utf-8", "surrogateescape")
