"""How a branch's work came into the integration branch: by ancestry, or as copies. '' means that it did not.

Asked in this order, cheapest first:

1. *ancestry*: the tip, with commits made on the branch, is in the integration branch. (A later revert does not change
   that: the commits themselves are there.)
2. *squash*: one commit since the merge base names the tip and is just what merging it made, or makes the same change as
   the branch as a whole.
3. *rebase, cherry-pick*: each of the branch's own commits has a commit there that makes the same change; merges on
   the branch count as nothing of their own only when git would make them just so again.
4. *contained*: merging the branch into the integration branch, as it is now or was at a commit since the merge base,
   changes nothing, though the branch did change something.

Copies (2 to 4) count only while they stand: a path that the branch changed and that is again as before it, or a later
commit that does the exact inverse, means that the work was taken back. Never judged by name, nor by "zero ahead".
What is too much to compare is "it did not": that keeps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from loki_hooks.domain.landing.copies import CopiedChange, patch_of, standing_copies
from loki_hooks.system.git.git import Git
from loki_hooks.system.git.history import has_own_commits
from loki_hooks.system.git.merges import merge_pairs, merge_trees
from loki_hooks.system.git.squashed import squashed_as

MAX_COMMITS = 1000
"""More candidates, or own commits, than this are not compared."""
MAX_MERGES = 200
_DIFF = (
    "-p",
    "-r",
    "--binary",
    "--full-index",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--root",
)
_TO_FIRST_PARENT = "--diff-merges=first-parent"
_MARK = re.compile(rb"(?:\A|\n)\0([0-9a-f]{40,64})\n")


def how_landed(
    git: Git,
    branch: str,
    base: str,
    tip: str,
    integration_ref: str,
    *,
    copies: bool = True,
    inside: bool | None = None,
    own: bool | None = None,
) -> str:
    """Return how the work of ``branch`` (short, at ``tip``, begun at ``base``) is in the integration branch, or ''.

    ``copies`` False asks only for ancestry, which is cheap; ``inside`` is the answer to that, and ``own`` whether it has
    commits of its own (``has_own_commits``), where the caller knows.
    """
    if not tip:
        return ""
    if inside is None:
        inside = git.is_ancestor(tip, integration_ref)
    if own is None:
        own = has_own_commits(git, branch, base, tip, integration_ref, inside=inside)
    if not own:
        return ""
    into = integration_ref.removeprefix("refs/heads/")
    if inside:
        return f"{tip[:12]} is in {into}"
    return _as_copies(git, tip, integration_ref, into) if copies else ""


def _as_copies(git: Git, tip: str, integration_ref: str, into: str) -> str:
    target = git.commit_id(integration_ref)
    meeting = git.maybe("merge-base", tip, integration_ref)
    if target is None or meeting is None or meeting in {target, tip}:
        return ""
    if landing := squashed_as(git, tip, target):
        return f"{landing[:12]} in {into} landed it (squashed)"
    paths = git.changed_paths(meeting, tip)
    own = _commits(git, "--no-merges", f"{target}..{tip}")
    if not paths or any("\n" in path for path in paths):  # git's list of paths on stdin goes by lines
        return ""
    if not own or len(own) > MAX_COMMITS or _taken_back(git, meeting, target, paths):
        return ""
    changes = _changes(git, own)
    whole = CopiedChange(patch_of(_diff(git, meeting, tip)), patch_of(_diff(git, tip, meeting)))
    candidates = _touching(git, meeting, target, paths)
    if not candidates or len(candidates) > MAX_COMMITS:
        return ""
    found = standing_copies([whole, *changes.values()], _patches(git, candidates))
    if whole.patch in found:
        return f"{found[whole.patch][:12]} in {into} makes the same change as the whole branch (squashed)"
    wanted = {change.patch for change in changes.values() if change.patch}
    if wanted and wanted <= set(found) and _plain_merges(git, target, tip):
        return f"each of its commits is in {into} as a copy (rebased or cherry-picked): {_pairs(changes, found)}"
    return _contained(git, tip, target, into, candidates)


def not_copied(git: Git, commits: Sequence[str], target: str) -> tuple[str, ...]:
    """Return those of ``commits`` that change something, and not what stands in ``target`` as a copy.

    None of them is in ``target``. A merge changes something only where git would not make it just so again: then it is
    what differs from its first parent.
    """
    if not commits or len(commits) > MAX_COMMITS:
        return tuple(commits)
    merges = git.out("rev-list", "--no-walk", "--merges", *commits).split()
    plain = {commit for commit in merges if _plain_merge(git, commit)}
    listed = git.out("rev-list", "--boundary", *commits, f"^{target}").split()
    before = (f"^{entry[1:]}" for entry in listed if entry.startswith("-"))
    there = _commits(git, target, *before)
    if len(there) > MAX_COMMITS:
        return tuple(commits)
    changes = _changes(git, [commit for commit in commits if commit not in plain], _TO_FIRST_PARENT)
    found = standing_copies(changes.values(), _patches(git, there, _TO_FIRST_PARENT))
    return tuple(commit for commit, change in changes.items() if change.patch and change.patch not in found)


def _contained(git: Git, tip: str, target: str, into: str, candidates: Sequence[str]) -> str:
    if merge_trees(git, target, tip).tree == git.tree_id(target):
        return f"merging it into {into} changes nothing (squashed)"
    looked = candidates[-MAX_MERGES:]
    trees = git.out("log", "--no-walk=unsorted", "--stdin", "--format=%T", stdin="\n".join(looked).encode()).split()
    for commit, tree, merged in zip(looked, trees, merge_pairs(git, [(c, tip) for c in looked]), strict=True):
        if merged.tree == tree:
            inverse = patch_of(_diff(git, commit, f"{commit}^"))
            later = _patches(git, looked[looked.index(commit) + 1 :])
            if inverse not in {patch for _, patch in later}:
                return f"at {commit[:12]} in {into}, merging it changed nothing (squashed)"
    return ""


def _taken_back(git: Git, meeting: str, target: str, paths: Sequence[str]) -> bool:
    """Whether some path that the branch changed is, in the integration branch, just as it was before the branch."""
    moved = set(git.changed_paths(meeting, target))
    return any(path not in moved for path in paths)


def _commits(git: Git, *words: str) -> list[str]:
    return git.out("rev-list", "--topo-order", "--reverse", *words).split()


def _touching(git: Git, meeting: str, target: str, paths: Sequence[str]) -> list[str]:
    """Return the commits since the merge base that touch any of ``paths``, oldest first."""
    words = [f"{target}", f"^{meeting}", "--", *(f":(top,literal){path}" for path in paths)]
    listed = git.out(
        "rev-list",
        "--topo-order",
        "--reverse",
        "--full-history",
        "--no-merges",
        "--stdin",
        stdin="\n".join(words).encode("utf-8", "surrogateescape"),
    )
    return listed.split()


def _diff(git: Git, old: str, new: str) -> bytes:
    return git.run("diff-tree", *_DIFF, old, new).stdout


def _patches(git: Git, commits: Sequence[str], *words: str) -> list[tuple[str, str]]:
    """Return (commit, what identifies its change) for each commit, from one process."""
    if not commits:
        return []
    stdin = "".join(f"{commit}\n" for commit in commits).encode()
    done = git.run("diff-tree", "--stdin", "--format=%x00%H", *_DIFF, *words, stdin=stdin)
    parts = _MARK.split(done.stdout)[1:]
    found = {commit.decode(): patch_of(diff) for commit, diff in zip(parts[::2], parts[1::2], strict=True)}
    return [(commit, found.get(commit, "")) for commit in commits]


def _changes(git: Git, commits: Sequence[str], *words: str) -> dict[str, CopiedChange]:
    there, back = _patches(git, commits, *words), _patches(git, commits, *words, "-R")
    return {commit: CopiedChange(patch, inverse) for (commit, patch), (_, inverse) in zip(there, back, strict=True)}


def _plain_merges(git: Git, target: str, tip: str) -> bool:
    """Whether every merge on the branch is just what git makes of its parents: nobody's work is in it."""
    merges = git.out("rev-list", "--merges", f"{target}..{tip}").split()
    return all(_plain_merge(git, commit) for commit in merges)


def _plain_merge(git: Git, commit: str) -> bool:
    """Whether the commit is a merge that is just what git makes of its two parents."""
    _, *parents = git.out("rev-list", "--parents", "--max-count=1", commit).split()
    return len(parents) == 2 and merge_trees(git, parents[0], parents[1]).tree == git.tree_id(commit)


def _pairs(changes: Mapping[str, CopiedChange], found: Mapping[str, str], most: int = 3) -> str:
    pairs = [f"{commit[:9]} as {found[change.patch][:9]}" for commit, change in changes.items() if change.patch]
    return ", ".join(pairs[:most]) + (f" and {len(pairs) - most} more" if len(pairs) > most else "")
