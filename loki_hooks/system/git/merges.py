"""Merges in the object database: no checkout, no worktree, no index of anybody's is touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loki_hooks.errors import CannotSignError, GitFailedError, reason_in
from loki_hooks.system.git.git import Git, git_version, split_z


@dataclass(frozen=True)
class Merged:
    """``tree`` is the merge's tree id, '' when there are ``conflicts`` (paths)."""

    tree: str
    conflicts: tuple[str, ...] = ()


def merge_trees(git: Git, ours: str, theirs: str) -> Merged:
    """Return the tree that merging commit ``theirs`` into commit ``ours`` makes, or the paths that conflict.

    git's own merge (`merge-tree --write-tree`, git ≥ 2.38) knows directory renames; before it, libgit2's.
    """
    if git_version() < (2, 38):
        return _by_libgit2(git, ours, theirs)
    done = git.run("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs)
    if done.returncode not in {0, 1}:
        raise GitFailedError(("merge-tree", ours, theirs), done.returncode, done.error_text)
    tree, *paths = split_z(done.text)
    return Merged(tree) if done.returncode == 0 else Merged("", tuple(dict.fromkeys(paths)))


def merge_pairs(
    git: Git, pairs: Sequence[tuple[str, str]], env: Mapping[str, str] | None = None, *, unrelated: bool = False
) -> list[Merged]:
    """Return what `merge_trees` would for each pair, in order, from one git process for all of them (git ≥ 2.39).

    ``unrelated``: histories without a common commit are merged as if they had an empty one, else they end it all.
    """
    if not pairs:
        return []
    if git_version() < (2, 39):
        return [merge_trees(git, *pair) for pair in pairs]
    lines = "".join(f"{ours} {theirs}\n" for ours, theirs in pairs)
    more = ["--allow-unrelated-histories"] if unrelated else []
    done = git.run(
        "-c",
        "core.looseCompression=0",
        "merge-tree",
        "--write-tree",
        *more,
        "--stdin",
        "-z",
        "--name-only",
        "--no-messages",
        stdin=lines.encode(),
        env=env,
        timeout=600,
    )
    fields = iter(done.text.split("\0"))
    found = []
    for pair in pairs:
        clean, tree = next(fields, ""), next(fields, "")
        if clean not in {"0", "1"}:
            raise GitFailedError(("merge-tree", *pair), done.returncode, done.error_text)
        paths = list(iter(lambda: next(fields, ""), ""))
        found.append(Merged(tree) if clean == "1" else Merged("", tuple(dict.fromkeys(paths)) or ("?",)))
    return found


def _by_libgit2(git: Git, ours: str, theirs: str) -> Merged:
    import pygit2

    repository = pygit2.Repository(str(git.cwd))
    index = repository.merge_commits(ours, theirs)
    if index.conflicts is not None:
        paths = {entry.path for triple in index.conflicts for entry in triple if entry is not None}
        return Merged("", tuple(sorted(paths)))
    return Merged(str(index.write_tree(repository)))


SIGN_PATIENCE = 15.0
"""Seconds for the program that signs: it may ask where nobody sees it, and whoever waits for it holds others up."""


def signs(git: Git) -> bool:
    """Return whether git is configured to sign commits."""
    return git.maybe("config", "--type=bool", "--get", "commit.gpgSign") == "true"


def commit_tree(
    git: Git,
    tree: str,
    parents: Sequence[str],
    message: str,
    env: Mapping[str, str] | None = None,
    *,
    signed: bool = False,
) -> str:
    """Make a commit object and return its id: with the user's identity.

    ``signed``: it is signed where git is configured to sign; raises ``CannotSignError`` where that fails.
    """
    args = ["commit-tree", tree]
    for parent in parents:
        args += ["-p", parent]
    stdin = message.encode("utf-8", "surrogateescape")
    if not (signed and signs(git)):
        return git.out(*args, "-F", "-", stdin=stdin, env=env).strip()
    done = git.run(*args, "-S", "-F", "-", stdin=stdin, env=env, timeout=SIGN_PATIENCE)
    if done.timed_out:
        raise CannotSignError(f"the program that signs did not answer in {SIGN_PATIENCE:.0f} s")
    if done.returncode != 0:
        git.out(*args, "-F", "-", stdin=stdin, env=env)  # what also fails unsigned is raised as what it is
        raise CannotSignError(reason_in(done.error_text))
    return done.text.strip()


def why_unsigned(git: Git) -> str:
    """Return '' where a commit can be signed now, or need not be. A program that waits for an answer is asked for seconds only."""
    if not signs(git):
        return ""
    try:
        commit_tree(git, git.tree_id("HEAD"), (), "can this be signed?\n", signed=True)
    except CannotSignError as error:
        return error.why
    return ""
