"""Which files branches touch, many at a time, from one git process."""

from __future__ import annotations

from collections.abc import Sequence

from loki_hooks.system.git.git import Git


def touched_paths(git: Git, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, ...]]:
    """Return for each (base, tip) pair of commits the paths that differ, in order."""
    if not pairs:
        return []
    # A line `tip base` has git compare the tip with base in a parent's place; each answer is headed by the tip's id.
    lines = "".join(f"{tip} {base}\n" for base, tip in pairs)
    done = git.run(
        "diff-tree", "--stdin", "-r", "-z", "--name-only", "--no-renames", "--always", "--root", stdin=lines.encode()
    )
    fields = [field for field in done.text.split("\0") if field]
    found: list[tuple[str, ...]] = []
    paths: list[str] = []
    wanted = [tip for _, tip in pairs]
    for field in fields:
        if len(found) < len(wanted) and field == wanted[len(found)]:
            found.append(())
            paths = []
        elif found:
            paths.append(field)
            found[-1] = tuple(paths)
    return found + [()] * (len(pairs) - len(found))
