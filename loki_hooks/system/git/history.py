"""Whether a branch has work of its own, which is not the same as being elsewhere than where it began."""

from __future__ import annotations

from loki_hooks.system.git.git import Git

_MADE_HERE = (
    "commit",
    "cherry-pick",
    "am:",
    "revert",
    "rebase (pick)",
    "rebase (reword)",
    "rebase (squash)",
    "rebase (fixup)",
    "rebase (continue)",
    "rebase (finish)",
)


def has_own_commits(
    git: Git, branch: str, base: str, tip: str, integration: str, *, inside: bool | None = None
) -> bool:
    """Return whether ``branch`` (short name) has, since ``base``, commits that were made on it.

    A branch that was only brought up to the integration branch is *new*, however far it moved. A tip beside
    the integration branch's own line of commits was made on a branch; one on that line may have got there by a
    fast-forward in either direction, and then the branch's reflog must show a commit. Unknown counts as none.
    ``inside``: whether the tip is in the integration branch at all, where the caller knows.
    """
    if not tip or not base or tip == base:
        return False
    if inside is False:
        return True
    # Not `base..`: the branch may have begun at a commit beside the line.
    line = git.out("rev-list", "--first-parent", integration, "--not", f"{base}^@").split()
    if tip not in line:
        return True
    return any(git.is_ancestor(made, tip) for made in made_here(git, f"refs/heads/{branch}"))


def made_here(git: Git, ref: str) -> tuple[str, ...]:
    """Return the commits that the reflog of ``ref`` shows to have been made there, newest first."""
    log = git.maybe("reflog", "show", "--format=%H %gs", ref, "--") or ""
    entries = (entry.partition(" ") for entry in log.splitlines())
    # A rebase that had nothing to pick ends at the very commit that it went onto; what was reset away is no work.
    return tuple(made for made, _, what in entries if what.startswith(_MADE_HERE) and not what.endswith(made))
