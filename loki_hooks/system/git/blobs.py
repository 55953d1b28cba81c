"""Many objects read by few git processes: the files of a tree, the content of blobs, the commits of a range.

Text is read as UTF-8, what is not is replaced; a blob that is too large or no text is left out, which is not an error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from loki_hooks.domain.writing.history import Commit, Touched
from loki_hooks.errors import GitFailedError, LokiError
from loki_hooks.system.git.git import Git, split_z

MAX_BYTES = 1024 * 1024
MAX_TOTAL = 48 * 1024 * 1024
MAX_COMMITS = 1000
"""Of a range, so many are looked at: who pulls more than that has no use for knowing which of them changed what."""
_LONG = 600.0


def tree_files(git: Git, revision: str) -> dict[str, str]:
    """Return path → blob of every file in the tree (no links, no submodules). Raises ``GitFailedError``."""
    found = {}
    for entry in split_z(git.out("ls-tree", "-r", "-z", "--full-tree", revision, timeout=_LONG)):
        meta, _, path = entry.partition("\t")
        mode, _, oid = meta.split(" ")[:3]
        if mode in {"100644", "100755"}:
            found[path] = oid
    return found


def read_texts(git: Git, oids: Iterable[str], *, total: int = MAX_TOTAL) -> dict[str, str]:
    """Return blob → text, read in the order given until ``total`` bytes; two git processes, however many blobs there are."""
    wanted = list(dict.fromkeys(oid for oid in oids if oid))
    if not wanted:
        return {}
    sizes: dict[str, int] = {}
    checked = git.out(
        "cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)", stdin=_lines(wanted), timeout=_LONG
    )
    for line in checked.splitlines():
        name, kind, length = [*line.split(" "), "", ""][:3]
        if kind == "blob":
            sizes[name] = int(length)
    taken = []
    for oid in wanted:
        size = sizes.get(oid)
        if size is not None and size <= MAX_BYTES and size <= total:
            total -= size
            taken.append(oid)
    return dict(_contents(git, taken)) if taken else {}


def _contents(git: Git, oids: list[str]) -> Iterator[tuple[str, str]]:
    done = git.run("cat-file", "--batch", stdin=_lines(oids), timeout=_LONG)
    if done.returncode != 0:
        raise LokiError(f"git cannot read the objects of a landing: {done.error_text.strip()}")
    data = done.stdout
    at = 0
    while at < len(data):
        end = data.index(b"\n", at)
        head = data[at:end].split(b" ")
        if len(head) != 3:  # "<oid> missing": gone since it was listed
            at = end + 1
            continue
        size = int(head[2])
        content = data[end + 1 : end + 1 + size]
        if b"\0" not in content[:8192]:
            yield head[0].decode("ascii"), content.decode("utf-8", "replace")
        at = end + 1 + size + 1


def _lines(oids: Collection[str]) -> bytes:
    return ("\n".join(oids) + "\n").encode()


def commits_between(git: Git, old: str, new: str) -> list[Commit]:
    """Return the commits of ``old..new``, newest first (at most ``MAX_COMMITS``), each with what it touched.

    ``old`` '' means: all that ``new`` has.
    """
    revisions = [f"{old}..{new}" if old else new]
    listed = git.out(
        "log",
        "-z",
        "--topo-order",
        f"--max-count={MAX_COMMITS}",
        "--format=%H%x1f%P%x1f%an%x1f%B",
        *revisions,
        "--",
        timeout=_LONG,
    )
    commits = []
    for entry in split_z(listed):
        oid, parents, author, message = [*entry.lstrip("\n").split("\x1f", 3), "", "", ""][:4]
        commits.append(Commit(oid, tuple(parents.split()), author, message))
    touched = _touched(git, [c.oid for c in commits if len(c.parents) < 2])
    return [replace(commit, touched=touched.get(commit.oid, {})) for commit in commits]


def _touched(git: Git, oids: list[str]) -> dict[str, dict[str, Touched]]:
    """Return commit → path → blobs, of commits with at most one parent."""
    if not oids:
        return {}
    listed = git.out(
        "diff-tree", "--stdin", "--root", "-r", "-z", "--no-renames", "--no-abbrev", stdin=_lines(oids), timeout=_LONG
    )
    found: dict[str, dict[str, Touched]] = {}
    fields = iter(split_z(listed))
    paths: dict[str, Touched] = {}
    for word in fields:
        if not word.startswith(":"):
            paths = found.setdefault(word.strip(), {})
            continue
        _, _, before, after, _ = word.lstrip(":").split(" ")
        paths[next(fields)] = Touched(_there(before), _there(after))
    return found


def renames_between(git: Git, old: str, new: str) -> list[tuple[str, str, Touched]]:
    """Return what differs between two commits: (path before, path after, blobs); '' where there was, or is, nothing."""
    words = ("diff-tree", "-r", "-z", "--no-abbrev", old, new)
    try:
        listed = git.out(*words, "-M", timeout=_LONG)
    except GitFailedError:  # a clone may lack objects, and renames are told by what is in them
        listed = git.out(*words, "--no-renames", timeout=_LONG)
    fields = iter(split_z(listed))
    found = []
    for meta in fields:
        _, _, before, after, status = meta.lstrip(":").split(" ")
        path = next(fields)
        blobs = Touched(_there(before), _there(after))
        if status[0] in "RC":
            found.append((path if status[0] == "R" else "", next(fields), blobs))
        else:
            found.append((path if blobs.before else "", path if blobs.after else "", blobs))
    return found


def _there(oid: str) -> str:
    return oid if oid.strip("0") else ""
