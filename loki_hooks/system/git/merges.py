"""Merges in the object database: no checkout, no worktree, no index of anybody's is touched.

What a merge gives depends on the objects and on the user's own configuration only: attributes (``merge=union``, say) are those
of the commit that is merged into, whatever is checked out where; the repository's configuration, ``info/attributes`` and
merge drivers there count for nothing (`plain.py`).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from loki_hooks.errors import CannotSignError, GitFailedError, reason_in
from loki_hooks.system.git.git import Git, git_version, split_z
from loki_hooks.system.git.plain import plain_git_dir
from loki_hooks.system.processes.run import Completed

_ATTRIBUTES = ".gitattributes"
_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_Attributes = tuple[tuple[str, str], ...]
"""The files that say which attributes paths have: (path, blob)."""


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
    done = merge_tree(git, ours, theirs, "--name-only")
    if done.returncode not in {0, 1} or not done.stdout:
        raise GitFailedError(("merge-tree", ours, theirs), done.returncode, done.error_text)
    tree, *paths = split_z(done.text)
    return Merged(tree) if done.returncode == 0 else Merged("", tuple(dict.fromkeys(paths)))


def merge_tree(git: Git, ours: str, theirs: str, *options: str) -> Completed:
    """Return how `git merge-tree --write-tree -z` of two commits ended (git ≥ 2.38)."""
    pair = [name if _OID.fullmatch(name) else git.commit_id(name) or name for name in (ours, theirs)]
    with _merging(git, _attributes(git, pair[0], {}), {}) as (plain, env):
        return plain.run("merge-tree", "--write-tree", "-z", "--no-messages", *options, *pair, env=env)


def merge_pairs(
    git: Git, pairs: Sequence[tuple[str, str]], env: Mapping[str, str] | None = None, *, unrelated: bool = False
) -> list[Merged]:
    """Return what `merge_trees` would for each pair (of commit ids), in order, from few git processes for all (git ≥ 2.39).

    ``unrelated``: histories without a common commit are merged as if they had an empty one, else they end it all.
    """
    if not pairs:
        return []
    if git_version() < (2, 39):
        return [merge_trees(git, *pair) for pair in pairs]
    groups: dict[_Attributes, list[tuple[str, str]]] = {}
    known = _attributes_of_all(git, list(dict.fromkeys(ours for ours, _ in pairs)), env or {})
    for pair in dict.fromkeys(pairs):
        groups.setdefault(known[pair[0]], []).append(pair)
    found: dict[tuple[str, str], Merged] = {}
    for attributes, some in groups.items():
        found |= zip(some, _merge_some(git, attributes, some, env or {}, unrelated=unrelated), strict=True)
    return [found[pair] for pair in pairs]


def _merge_some(
    git: Git, attributes: _Attributes, pairs: Sequence[tuple[str, str]], objects: Mapping[str, str], *, unrelated: bool
) -> list[Merged]:
    """Return what merging each pair gives, from one git process: all have the same attributes."""
    lines = "".join(f"{ours} {theirs}\n" for ours, theirs in pairs)
    words = ["-c", "core.looseCompression=0", "merge-tree", "--write-tree"]
    words += ["--allow-unrelated-histories"] if unrelated else []
    words += ["--stdin", "-z", "--name-only", "--no-messages"]
    with _merging(git, attributes, objects) as (plain, env):
        done = plain.run(*words, stdin=lines.encode(), env=env, timeout=600)
    fields = iter(done.text.split("\0"))
    found = []
    for pair in pairs:
        clean, tree = next(fields, ""), next(fields, "")
        if clean not in {"0", "1"}:
            raise GitFailedError(("merge-tree", *pair), done.returncode, done.error_text)
        paths = list(iter(lambda: next(fields, ""), ""))
        found.append(Merged(tree) if clean == "1" else Merged("", tuple(dict.fromkeys(paths)) or ("?",)))
    return found


@contextlib.contextmanager
def _merging(git: Git, attributes: _Attributes, objects: Mapping[str, str]) -> Iterator[tuple[Git, Mapping[str, str]]]:
    """Give git, and its environment, where nothing but these attribute files is checked out."""
    with plain_git_dir(git.cwd) as made:
        for path, blob in attributes:
            place = made.scratch / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(git.run("cat-file", "blob", blob, env=objects).stdout)
        yield Git(made.scratch), {**made.env(made.scratch), **objects}


def _attributes(git: Git, commit: str, objects: Mapping[str, str]) -> _Attributes:
    """Return the attribute files of a commit."""
    listed = git.run("ls-tree", "-r", "-z", "--full-tree", commit, env=objects, timeout=600).text
    entries = (entry.partition("\t") for entry in split_z(listed) if entry.endswith(_ATTRIBUTES))
    return tuple(
        (path, meta.split(" ")[2])
        for meta, _, path in entries
        if meta.startswith("100") and path.rpartition("/")[2] == _ATTRIBUTES
    )


def _attributes_of_all(git: Git, commits: Sequence[str], objects: Mapping[str, str]) -> dict[str, _Attributes]:
    """Return the attribute files of each commit. Most have the first one's: git says at once which have not."""
    first, *others = commits
    found = dict.fromkeys(commits, _attributes(git, first, objects))
    if others:
        lines = "".join(f"{commit} {first}\n" for commit in others)
        words = ("diff-tree", "--stdin", "-r", "-z", "--name-only", "--", f":(glob)**/{_ATTRIBUTES}")
        differ = set(split_z(git.out(*words, stdin=lines.encode(), env=objects, timeout=600)))
        found |= {commit: _attributes(git, commit, objects) for commit in others if commit in differ}
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
