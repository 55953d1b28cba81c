"""Streams that landed as one commit, and what was built on them.

A squashed landing has none of the stream's own commits, so git takes what was built on those for two changes of the same
lines. The landing's commit names the stream's tip in a trailer. A trailer proves nothing; it is believed where the commit's
tree is just what merging that tip into its parent makes. Then the tip counts as merged there.
"""

from __future__ import annotations

from collections.abc import Sequence

from loki_hooks.domain.refs import TIP_TRAILER
from loki_hooks.system.git.git import Git, split_z
from loki_hooks.system.git.identity import NOBODY
from loki_hooks.system.git.merges import Merged, commit_tree, merge_trees

_MOST = 200
_AT = {"GIT_AUTHOR_DATE": "@0 +0000", "GIT_COMMITTER_DATE": "@0 +0000"}


def merge_stacked(git: Git, ours: str, theirs: str) -> Merged:
    """Return what merging ``theirs`` into ``ours`` makes, where what ``ours`` has of it squashed counts as merged."""
    return merge_trees(git, with_squashed(git, ours, theirs), theirs)


def with_squashed(git: Git, ours: str, theirs: str) -> str:
    """Return ``ours``, or a commit with its tree that also has as parents what it has of ``theirs`` in squashed landings."""
    known = squashed_within(git, ours, theirs)
    if not known:
        return ours
    return commit_tree(git, git.tree_id(ours), (ours, *known), "with what was squashed\n", env=NOBODY | _AT)


def squashed_within(git: Git, ours: str, theirs: str) -> tuple[str, ...]:
    """Return the commits that ``theirs`` contains, and that squashed landings in ``ours`` brought; the last landed first."""
    found: list[str] = []
    for tip, commit, parent in _landings(git, ours, theirs, f"{TIP_TRAILER}: "):
        inside = git.is_ancestor(tip, theirs) and not any(git.is_ancestor(tip, other) for other in found)
        if inside and not git.is_ancestor(tip, ours) and _is_landing(git, commit, parent, tip):
            found.append(tip)
    return tuple(found)


def squashed_as(git: Git, tip: str, target: str) -> str:
    """Return the commit in ``target`` that landed ``tip`` squashed, '' for none."""
    landings = _landings(git, target, tip, f"{TIP_TRAILER}: {tip}")
    return next((commit for at, commit, parent in landings if at == tip and _is_landing(git, commit, parent, tip)), "")


def _landings(git: Git, ours: str, theirs: str, words: str) -> Sequence[tuple[str, str, str]]:
    """Return (tip, commit, its one parent) of what says that it is a squashed landing, since the two parted."""
    meeting = git.maybe("merge-base", ours, theirs)
    if meeting is None:
        return ()
    form = f"--format=%H%x09%P%x09%(trailers:key={TIP_TRAILER},valueonly,separator=%x20)"
    said = ("--fixed-strings", f"--grep={words}", f"--max-count={_MOST}")
    listed = git.out("log", "-z", *said, form, f"{meeting}..{ours}")
    fields = (entry.split("\t") for entry in split_z(listed))
    return [
        (tip.strip(), commit, parents)
        for commit, parents, tip in fields
        if " " not in parents and git.commit_id(tip.strip()) == tip.strip()
    ]


def _is_landing(git: Git, commit: str, parent: str, tip: str) -> bool:
    return git.tree_id(commit) == merge_stacked(git, parent, tip).tree
