"""Whether changes are in a line of commits as copies (squashed, rebased, cherry-picked), and still are.

A change is known by what it does: the text of its diff, to the byte, without line numbers and object ids. (git's own
patch id leaves white space out; to a classifier that removes work, an indentation is a difference.) A copy counts
only while it stands: a later commit that does exactly the inverse takes it back.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_HUNK = re.compile(rb"@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@.*", re.DOTALL)


@dataclass(frozen=True)
class CopiedChange:
    """What a commit, or a whole branch, does; ``inverse`` is what undoes it. '' means: nothing."""

    patch: str
    inverse: str


def patch_of(diff: bytes) -> str:
    """Return what identifies a diff (git's ``-p --binary --full-index``), '' for an empty one."""
    text = diff.strip(b"\n")  # what separates it from others is not of it
    digest = hashlib.sha256()
    for line in text.split(b"\n"):
        if not line.startswith(b"index "):  # a line of content begins with a blank, a plus or a minus
            digest.update(b"@@\n" if _HUNK.match(line) else line + b"\n")
    return digest.hexdigest() if text else ""


def standing_copies(wanted: Iterable[CopiedChange], there: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Return patch → commit for each wanted change that is ``there`` and was not taken back.

    ``there``: (commit, patch), oldest first.
    """
    changes = {change.patch: change for change in wanted if change.patch}
    undoes = {change.inverse: change.patch for change in changes.values() if change.inverse}
    found: dict[str, str] = {}
    for commit, patch in there:
        if patch in changes:
            found[patch] = commit
        elif patch in undoes:
            found.pop(undoes[patch], None)
    return found
