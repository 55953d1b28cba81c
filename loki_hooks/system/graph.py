"""Questions about the commit graph, asked many at a time: libgit2 in this process, or git where it cannot open the repository."""

from __future__ import annotations

from collections.abc import Sequence

from loki_hooks.system.git import Git, git_version
from loki_hooks.system.site import Site


def ahead_behind(site: Site, base: str, tips: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return tip → (commits it has that ``base`` has not, commits that ``base`` has and it has not).

    libgit2 refuses sha256, reftable, partial clones and extensions that it does not know; git answers then.
    """
    wanted = sorted(set(tips))
    try:
        import pygit2

        repository = pygit2.Repository(str(site.common))
        return {tip: repository.ahead_behind(tip, base) for tip in wanted}
    except (ImportError, KeyError, ValueError, OSError, _git_error()):
        return {tip: _by_git(site, base, tip) for tip in wanted}


def behind(git: Git, base: str, branches: Sequence[str]) -> dict[str, int]:
    """Return branch → how many commits ``base`` has that it has not, for those (short names) that there are.

    One process for all from git 2.41 on; before it one, and one more for each branch that lacks any.
    """
    if not branches:
        return {}
    refs = [f"refs/heads/{branch}" for branch in branches]
    if git_version() >= (2, 41):
        listed = git.out("for-each-ref", f"--format=%(refname)%00%(ahead-behind:{base})", *refs)
        pairs = [line.split("\0") for line in listed.splitlines()]
        return {name.removeprefix("refs/heads/"): int(counts.split()[1]) for name, counts in pairs if " " in counts}
    there = git.refs(*refs)
    current = set(git.out("for-each-ref", "--format=%(refname)", f"--contains={base}", *refs).splitlines())
    counts = {name: "0" if name in current else git.maybe("rev-list", "--count", f"{name}..{base}") for name in there}
    return {name.removeprefix("refs/heads/"): int(count) for name, count in counts.items() if count}


def merge_bases(site: Site, base: str, tips: Sequence[str]) -> dict[str, str]:
    """Return tip → where it and ``base`` meet, for those that do."""
    wanted = sorted(set(tips))
    try:
        import pygit2

        repository = pygit2.Repository(str(site.common))
        found = {tip: repository.merge_base(tip, base) for tip in wanted}
        return {tip: str(meeting) for tip, meeting in found.items() if meeting is not None}
    except (ImportError, KeyError, ValueError, OSError, _git_error()):
        git = Git(site.root)
        return {tip: meeting for tip in wanted if (meeting := git.maybe("merge-base", tip, base))}


def _git_error() -> type[Exception]:
    try:
        import pygit2
    except ImportError:
        return LookupError
    return pygit2.GitError


def _by_git(site: Site, base: str, tip: str) -> tuple[int, int]:
    ahead, behind = Git(site.root).out("rev-list", "--left-right", "--count", f"{tip}...{base}").split()
    return int(ahead), int(behind)
