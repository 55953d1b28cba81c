"""Which documents a landed range made wrong, as items for the docs queue; and what it gives a blog to write about.

Both sides come from git objects, never from a checkout. A document is affected when it mentions a symbol whose
public face changed, or the path of a file that changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from loki_hooks.actions.context import Context
from loki_hooks.domain.pysurface import Change, compare
from loki_hooks.system.git import Git, split_z

MAX_COMMITS = 100
"""How far back in a range it is looked for who changed what in a file."""
BLOG_FOLDERS = ("content/blog", "_posts", "blog")
_TESTS = re.compile(r"(^|/)(tests?|testing|spec|__tests__)/|(^|/)(test_[^/]*|[^/]*_test|conftest)\.\w+$")
_CODE = re.compile(r"\.(py|pyi|js|jsx|ts|tsx|mjs|go|rs|java|kt|rb|php|c|h|cc|cpp|hpp|cs|swift|scala|sh)$")
_FEATURE = re.compile(r"^feat(\([^)]*\))?(?P<breaking>!)?: (?P<what>.+)")


def docs_items(context: Context, old: str, new: str) -> Iterator[dict[str, Any]]:
    """Yield ``{trigger, symbol, file, line, before, after, commit, stream, docs: [{path, line}]}`` for the range."""
    git = context.git
    patterns = context.config.in_force.docs.paths
    raw = git.out("diff-tree", "-r", "-z", "--no-renames", old, new)
    fields = list(split_z(raw))
    landings = _landings(git, old, new)
    for meta, path in zip(fields[::2], fields[1::2], strict=True):
        _, _, before, after, status = meta.lstrip(":").split(" ")
        if _TESTS.search(path) or not _CODE.search(path):
            continue
        commits = git.out(
            "rev-list", f"--max-count={MAX_COMMITS}", "--no-merges", f"{old}..{new}", "--", path
        ).split() or [new]
        base = {
            "file": path,
            "before": before,
            "after": after,
            "commit": commits[0],
            "stream": _stream_of(git, landings, commits[0]),
        }
        changes: list[Change] = []
        if path.endswith((".py", ".pyi")):
            sources = [_blob(git, oid) if status != gone else "" for oid, gone in ((before, "A"), (after, "D"))]
            changes = compare(*sources) or []
        made_by = _made_by(git, path, commits) if changes else {}
        for change in changes:
            commit = made_by.get(change.symbol, commits[0])
            docs = mentions(git, new, change.symbol.rsplit(".", 1)[-1], patterns)
            yield {
                **base,
                "trigger": f"public-{change.trigger}",
                "symbol": change.symbol,
                "line": change.line,
                "docs": docs,
                "commit": commit,
                "stream": _stream_of(git, landings, commit),
            }
        docs = mentions(git, new, path, patterns)
        if docs:
            kind = {"A": "file-added", "D": "file-removed"}.get(status, "file-changed")
            yield {**base, "trigger": kind, "symbol": "", "line": 1, "docs": docs}


def _landings(git: Git, old: str, new: str) -> list[tuple[str, str]]:
    """Return (commit, stream) of the landings in the range, oldest first."""
    listed = git.out(
        "log",
        "-z",
        "--first-parent",
        "--reverse",
        "--format=%H%x09%(trailers:key=Loki-Stream,valueonly,separator=%x20)",
        f"{old}..{new}",
    )
    pairs = (entry.partition("\t")[::2] for entry in split_z(listed))
    return [(commit, stream.strip()) for commit, stream in pairs if stream.strip()]


def _stream_of(git: Git, landings: list[tuple[str, str]], commit: str) -> str:
    """Return the stream whose landing brought the commit ('' when it came otherwise)."""
    return next((stream for landing, stream in landings if git.is_ancestor(commit, landing)), "")


def _made_by(git: Git, path: str, commits: list[str]) -> dict[str, str]:
    """Return symbol → the newest of ``commits`` (newest first) that changed its public face in the file."""
    found: dict[str, str] = {}
    for commit in commits if len(commits) > 1 else ():
        for change in compare(_blob(git, f"{commit}^:{path}"), _blob(git, f"{commit}:{path}")) or []:
            found.setdefault(change.symbol, commit)
    return found


def _blob(git: Git, oid: str) -> str:
    return git.run("cat-file", "blob", oid).stdout.decode("utf-8", "replace")


def mentions(git: Git, revision: str, word: str, patterns: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return where the documents at ``revision`` have ``word`` as a whole word: ``[{path, line}]``."""
    done = git.run(
        "grep",
        "-n",
        "-z",
        "-I",
        "-F",
        "-w",
        "--full-name",
        "-e",
        word,
        revision,
        "--",
        *[f":(glob){p}" for p in patterns],
    )
    found = []
    for line in done.text.splitlines():
        parts = line.split("\0")
        if len(parts) >= 2 and parts[1].isdigit():
            found.append({"path": parts[0].removeprefix(f"{revision}:"), "line": int(parts[1])})
    return found


def blog_items(context: Context, old: str, new: str) -> Iterator[dict[str, Any]]:
    """Yield an item for each major feature in the range, where the repository has a blog."""
    git = context.git
    blog = next((f for f in BLOG_FOLDERS if git.ok("cat-file", "-e", f"{new}:{f}")), None)
    if blog is None:
        return
    listed = git.out("log", "-z", "--no-merges", "--format=%H%x09%an%x09%s", f"{old}..{new}")
    for entry in split_z(listed):
        commit, author, subject = entry.split("\t", 2)
        found = _FEATURE.match(subject)
        if found:
            yield {
                "trigger": "feature",
                "symbol": found["what"],
                "commit": commit,
                "folder": blog,
                "people": [author],
                "breaking": bool(found["breaking"]),
            }
