"""What a hook framework put aside and never gave back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loki_hooks.domain.install.diagnosis import Finding, is_lost_work
from loki_hooks.system.git import patches
from loki_hooks.system.git.git import list_worktrees

if TYPE_CHECKING:
    from loki_hooks.actions.context import Context


# Patches of hook frameworks ----------------------------------------------------------------------------------


def check_patches(context: Context) -> list[Finding]:
    """Unstaged changes that pre-commit or prek took away and, killed, never put back.

    They are offered, never applied: nothing can prove that whoever sits in that worktree wants them back now.
    """
    git = context.git
    kept = patches.found()
    blobs = patches.known_blobs(git, {name for patch in kept for name in (*patch.old, *patch.new)})
    trees = [entry.path for entry in list_worktrees(git) if not entry.bare and entry.path.is_dir()]
    found = []
    looked = 0
    for patch in kept:
        if not all(name in blobs or not name.strip("0") for name in patch.old):
            continue  # it is another repository's
        looked += 1
        for tree in trees:
            if is_lost_work(patches.look(patch, tree, blobs)):
                files = ", ".join(patch.files[:5])
                found.append(
                    Finding(
                        "patches",
                        False,
                        f"{patch.tool} was killed and left unstaged changes of {tree} in a patch",
                        f"{patch.path} ({files}): it applies, its changes are not in the worktree nor in git, process "
                        f"{patch.pid} is "
                        "gone, and the files have not been written since",
                        f"git -C {tree} apply --whitespace=nowarn {patch.path} (or remove the patch, if you do not want "
                        f"them back)",
                    )
                )
    return found or [
        Finding(
            "patches",
            True,
            "no hook framework was killed with somebody's changes in its hands",
            f"{looked} patches of this repository, of {len(kept)} in all",
        )
    ]
