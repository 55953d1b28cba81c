"""Questions about the commit graph, asked many at a time: libgit2 in this process, or git.

Git answers where libgit2 cannot open the repository (sha256, reftable, partial clones, extensions that it does not
know), and where so little is asked that loading libgit2 (some 60 ms) costs more than a process for each question.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from loki_hooks.system.git.git import Git, git_version
from loki_hooks.system.site import Site

if TYPE_CHECKING:
    import pygit2

FEW = 10
"""Up to so many questions are git's; one costs some 3 ms."""


def ahead_behind(site: Site, base: str, tips: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return tip → (commits it has that ``base`` has not, commits that ``base`` has and it has not)."""
    wanted = sorted(set(tips))
    repository = _libgit2(site, len(wanted))
    if repository is not None:
        try:
            return {tip: repository.ahead_behind(tip, base) for tip in wanted}
        except (KeyError, ValueError, OSError, _git_error()):
            pass
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
    repository = _libgit2(site, len(wanted))
    if repository is not None:
        try:
            found = {tip: repository.merge_base(tip, base) for tip in wanted}
            return {tip: str(meeting) for tip, meeting in found.items() if meeting is not None}
        except (KeyError, ValueError, OSError, _git_error()):
            pass
    git = Git(site.root)
    return {tip: meeting for tip in wanted if (meeting := git.maybe("merge-base", tip, base))}


def _libgit2(site: Site, questions: int) -> pygit2.Repository | None:
    """Return the repository, or None where git shall answer."""
    if questions <= FEW and "pygit2" not in sys.modules:
        return None
    try:
        import pygit2

        return pygit2.Repository(str(site.common))
    except (ImportError, KeyError, ValueError, OSError, _git_error()):
        return None


def _git_error() -> type[Exception]:
    try:
        import pygit2
    except ImportError:
        return LookupError
    return pygit2.GitError


def _by_git(site: Site, base: str, tip: str) -> tuple[int, int]:
    ahead, behind = Git(site.root).out("rev-list", "--left-right", "--count", f"{tip}...{base}").split()
    return int(ahead), int(behind)
