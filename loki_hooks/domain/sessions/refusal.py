"""What a refused commit says to a person: the lines that tell why, out of all that its hooks printed. Pure."""

from __future__ import annotations

import re

_PASSED = re.compile(
    r"\.{3,}.*(?:Passed|Skipped)\s*$|^\[(?:INFO|WARNING)\]|^\s*- (?:hook id|exit code|duration|files were)"
)
_FAILED = re.compile(r"\.{3,}\s*Failed\s*$")
_TELLS = re.compile(
    r"\b(?:error|errors|fail|fails|failed|failure|fatal|cannot|denied|forbidden|invalid|missing)\b|[✖✗]", re.IGNORECASE
)
_MOST_LINES = 4
_MOST = 300


def why_refused(said: str) -> str:
    """Return the failing lines of what a commit's hooks printed, as one line; '' where nothing was printed.

    Of pre-commit's output what follows the first hook that failed, under its name; else what follows the first line
    that speaks of a failure.
    """
    lines = [line.rstrip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if not _PASSED.search(line)]
    failed = [i for i, line in enumerate(telling) if _FAILED.search(line)]
    if failed:
        name = re.sub(r"\.{3,}\s*Failed\s*$", "", telling[failed[0]])
        rest = [line for line in telling[failed[0] + 1 :] if not _FAILED.search(line)]
        return _one_line([f"{name}:", *rest] if rest else [f"{name} failed"])
    start = next((i for i, line in enumerate(telling) if _TELLS.search(line)), 0)
    return _one_line(telling[start:] or lines)


def _one_line(lines: list[str]) -> str:
    text = " ".join(" ".join(line.split()) for line in lines[:_MOST_LINES])
    return text if len(text) <= _MOST else f"{text[: _MOST - 2]} …"
