"""Have git see a linked worktree whole, and in its place: no sparse checkout, no other folder.

`git worktree add` copies the main worktree's sparse checkout: patterns to ``<git dir>/info/sparse-checkout``, settings to
``<git dir>/config.worktree``. Without the patterns git leaves nothing out, also where the configuration that all worktrees share
says ``core.sparseCheckout``.
"""

from __future__ import annotations

from pathlib import Path

from loki_hooks.system.git.git import Git
from loki_hooks.system.git.operations import git_dir_of

_OFF = ("core.sparseCheckout", "core.sparseCheckoutCone", "index.sparse")


def see_whole(worktree: Path) -> None:
    """Take from a worktree's own settings what has git look at less of it, or elsewhere. No file of it is touched."""
    git, git_dir = Git(worktree), git_dir_of(worktree)
    (git_dir / "info" / "sparse-checkout").unlink(missing_ok=True)
    settings = git_dir / "config.worktree"
    if settings.is_file():
        git.run("config", "--file", str(settings), "--unset-all", "core.worktree")
        for key in _OFF:
            if git.config(key) not in {None, "false"}:
                git.out("config", "--file", str(settings), key, "false")
