"""Resolve conflicts of additions by keeping both sides, in the object database."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from loki_hooks.domain.landing.additive import is_additive, only_adds
from loki_hooks.system.git.git import Git, git_version, split_z
from loki_hooks.system.git.merges import merge_tree

MAX_BYTES = 2 * 1024 * 1024


def keep_both(git: Git, ours: str, theirs: str, patterns: Sequence[str]) -> str:
    """Return the tree of merging commit ``theirs`` into ``ours`` with every conflict resolved by keeping both sides.

    '' where that is not so simple: a file outside ``patterns``, a side that changed or took a line, another kind of
    conflict. The result is tested like every other tree.
    """
    if git_version() < (2, 38):
        return ""
    done = merge_tree(git, ours, theirs)
    if done.returncode != 1:
        return ""
    tree, *entries = split_z(done.text)
    stages: dict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
    for entry in entries:
        meta, _, path = entry.partition("\t")
        mode, oid, stage = meta.split(" ")
        stages[path][stage] = (mode, oid)
    resolved = []
    for path, found in stages.items():
        modes = {mode for mode, _ in found.values()}
        if not {"2", "3"} <= found.keys() or len(modes) != 1 or not is_additive(path, patterns):
            return ""
        base, left, right = (_blob(git, found[s][1]) if s in found else b"" for s in ("1", "2", "3"))
        if max(map(len, (base, left, right))) > MAX_BYTES or b"\0" in base + left + right:
            return ""
        if not (only_adds(base, left) and only_adds(base, right)):
            return ""
        both = _union(git, base, left, right)
        if both is None:
            return ""
        resolved.append(f"{modes.pop()} {git.write_blob(both)} 0\t{path}\0")
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
        git.out("read-tree", tree, env=index)
        git.out(
            "update-index", "-z", "--index-info", stdin="".join(resolved).encode("utf-8", "surrogateescape"), env=index
        )
        return git.out("write-tree", env=index)


def _blob(git: Git, oid: str) -> bytes:
    return git.run("cat-file", "blob", oid).stdout


def _union(git: Git, base: bytes, left: bytes, right: bytes) -> bytes | None:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("ours", "base", "theirs")]
        for path, data in zip(paths, (left, base, right), strict=True):
            path.write_bytes(data)
        done = git.run("merge-file", "-p", "--union", "--quiet", *map(str, paths))
    return done.stdout if done.returncode == 0 else None
