"""What a commit of ours is called where the project's commits have a form that its hooks may ask for. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

_CONVENTIONAL = re.compile(r"[a-z]+(?:\([^()]+\))?!?: \S")
"""Conventional Commits 1.0.0: type, scope, ``!``, description."""


def fitting_title(title: str, subjects: Iterable[str]) -> str:
    """Return the title as most of the ``subjects`` (titles of earlier commits, merges aside) are written."""
    others = [subject for subject in subjects if not subject.startswith("Merge ")]
    conventional = sum(1 for subject in others if _CONVENTIONAL.match(subject))
    if 2 * conventional <= len(others) or _CONVENTIONAL.match(title):
        return title
    word = title.split(" ", 1)[0]
    return f"chore: {title if word.isupper() else title[:1].lower() + title[1:]}"
