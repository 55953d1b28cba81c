"""Check files out in new worktrees: several at once share the reading, where the result is provably git's own.

A plain checkout (``domain/worktrees/checkout.py`` proves it from configuration, index and attributes) is the blobs' bytes in
files made anew. So each blob is read once, by `git cat-file`, and written into all the worktrees of a commit, by one
``blob_writer.py`` a processor. The index is what `git read-tree` makes, once, with each worktree's own stat data filled
in; it is put in place last, so a worktree without an index is one that is not complete (``worktrees.finish``).
A file that is younger than its index counts as racy, and git compares its content (racy-git): the index may be
wrong in no way that `git status` would not see. Anything else, and anything that goes wrong on the way, is left to
`git reset --hard`, which overwrites whatever is there; that too runs in several worktrees at once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from loki_hooks.domain.worktrees.checkout import (
    ATTRIBUTES,
    why_not_plain_attributes,
    why_not_plain_config,
    why_not_plain_entries,
)
from loki_hooks.domain.worktrees.index_file import STAT_BYTES, Index, IndexEntry, parse_index, with_stats
from loki_hooks.errors import GitFailedError, LokiError
from loki_hooks.system.git.git import Git
from loki_hooks.system.git_folder import CEILING, with_ceiling
from loki_hooks.system.processes.alive import identify
from loki_hooks.system.processes.run import scrubbed
from loki_hooks.system.processes.start import Child, TimeoutExpired, start_piped

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    from loki_hooks.system.site import Site

TIMEOUT = 1800.0
WORTH_IT = 200
"""Fewer files are left to git: starting the writers would cost more."""
_AT_ONCE = 8
_WRITER = Path(os.path.realpath(__file__)).with_name("blob_writer.py")


class _NotPlainError(Exception):
    """Git must do it; the reason is the message."""


@dataclass(frozen=True)
class _Source:
    """What is written for one commit: the index as git makes it, and what git says of the attributes, when it has."""

    folder: Path
    index: Index
    attributes: Future[str]


class Sources:
    """What several worktrees of a commit can share, made ready in the background, by commit."""

    def __init__(self, git: Git, folder: Path, commits: Iterable[str], pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._ready = {commit: pool.submit(self._prepare, git, folder / commit[:16], commit) for commit in commits}

    def of(self, commit: str) -> _Source:
        """Return what was prepared for the commit. Raises what ``why_git_must`` knows: then git does it."""
        if commit not in self._ready:
            raise _NotPlainError("only one worktree of it is wanted")
        return self._ready[commit].result()

    def _prepare(self, git: Git, folder: Path, commit: str) -> _Source:
        folder.mkdir(parents=True)
        index = _read_index(git, folder, commit)
        _raise_if(why_not_plain_entries(index.entries))
        if len(index.entries) < WORTH_IT:
            raise _NotPlainError("it is small")
        return _Source(folder, index, self._pool.submit(_attributes, git, folder, index.entries))


@contextlib.contextmanager
def sources(site: Site, commits: Iterable[str]) -> Iterator[Sources]:
    """Begin to make ready what worktrees of these commits can share: those that are named more than once."""
    for left in site.private.glob("populate-*"):
        with contextlib.suppress(ValueError):
            if identify(int(left.name.partition("-")[2])) is None:
                shutil.rmtree(left, ignore_errors=True)
    folder = site.private / f"populate-{os.getpid()}"
    shared = [commit for commit, count in Counter(commits).items() if count > 1]
    try:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(max_workers=2) as pool:
            yield Sources(Git(site.root), folder, shared, pool)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def populate(worktrees: Mapping[Path, tuple[Path, str]], prepared: Sources) -> dict[Path, LokiError]:
    """Check out the files of new worktrees: path → (git dir, commit). Return what failed, by path."""
    groups: dict[str, list[Path]] = {}
    for path, (_, commit) in worktrees.items():
        groups.setdefault(commit, []).append(path)
    left: list[Path] = []
    for commit, paths in groups.items():
        if len(paths) < 2 or why_git_must(commit, {path: worktrees[path][0] for path in paths}, prepared):
            left += paths
    return _by_git(left)


def is_writer(words: Sequence[str], path: Path) -> bool:
    """Return whether a process with this command line is one of our writers and writes into ``path``."""
    return str(_WRITER) in words and str(path) in words


def _by_git(paths: Sequence[Path]) -> dict[Path, LokiError]:
    """Have git check out each of the worktrees, several at once."""

    def reset(path: Path) -> LokiError | None:
        try:
            Git(path).out("reset", "--hard", "--quiet", timeout=TIMEOUT)
        except LokiError as error:
            return _no_room(path) or error
        return None

    if len(paths) <= 1:
        results = [reset(path) for path in paths]
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(max_workers=min(len(paths), _AT_ONCE)) as pool:
            results = list(pool.map(reset, paths))
    return {path: error for path, error in zip(paths, results, strict=True) if error is not None}


def _no_room(path: Path) -> LokiError | None:
    if shutil.disk_usage(path).free > 1 << 20:
        return None
    return LokiError(f"there is no room left on the disk of {path}", "free some; `loki-hooks cleanup` may help")


def why_git_must(commit: str, worktrees: Mapping[Path, Path], prepared: Sources) -> str:
    """Fill the worktrees (path → git dir) with the files of ``commit``; return '', or why that is left to git."""
    try:
        _fill(prepared.of(commit), worktrees)
    except _NotPlainError as reason:
        return str(reason)
    except (LokiError, OSError, ValueError) as error:  # git says better what is wrong, or can do it
        return f"{error}"
    return ""


def _fill(source: _Source, worktrees: Mapping[Path, Path]) -> None:
    paths = list(worktrees)
    for path, git_dir in worktrees.items():
        if os.listdir(path) != [".git"] or (git_dir / "index").exists():  # noqa: PTH208  names are enough
            raise _NotPlainError(f"{path} is not empty")
    git = Git(paths[0])
    _require_plain_config(git, paths)
    if any(entry.path.endswith(b".gitattributes") for entry in source.index.entries):
        _raise_if(source.attributes.result())  # else they are most likely plain, and asked for meanwhile
    stats = _write(git, source, paths)
    _raise_if(source.attributes.result())
    for path, found in zip(paths, stats, strict=True):
        _put(worktrees[path] / "index", with_stats(source.index, found))


def _raise_if(reason: str) -> None:
    if reason:
        raise _NotPlainError(reason)


def _require_plain_config(git: Git, paths: Iterable[Path]) -> None:
    """Look at the configuration as git has it in the new worktrees: one answer does, unless it depends on the place."""
    listed = git.out("config", "--list", "-z", "--includes")
    config = dict(_pair(entry) for entry in listed.split("\0") if entry)
    _raise_if(why_not_plain_config(config))
    if any(key.startswith("includeif.") for key in config):
        for path in list(paths)[1:]:
            if Git(path).out("config", "--list", "-z", "--includes") != listed:
                raise _NotPlainError("includeIf")


def _pair(entry: str) -> tuple[str, str]:
    key, _, value = entry.partition("\n")
    return key.lower(), value if "\n" in entry else "true"


def _read_index(git: Git, folder: Path, commit: str) -> Index:
    """Return the index of ``commit`` as git makes it, without a file's stat data."""
    where = folder / "index"
    git.out("read-tree", commit, env={"GIT_INDEX_FILE": str(where)})
    return parse_index(where.read_bytes(), "sha256" if len(commit) == 64 else "sha1")


def _attributes(git: Git, folder: Path, entries: Sequence[IndexEntry]) -> str:
    """Return '' or which attribute makes this more than bytes. They come from the index, as at a checkout."""
    names = b"".join(entry.path + b"\0" for entry in entries)
    done = git.run(
        "check-attr",
        "--cached",
        "-z",
        "--stdin",
        *ATTRIBUTES,
        stdin=names,
        env={"GIT_INDEX_FILE": str(folder / "index")},
        timeout=TIMEOUT,
    )
    parts = done.stdout.split(b"\0")
    if done.returncode != 0 or len(parts) != 3 * len(ATTRIBUTES) * len(entries) + 1:
        return "git check-attr failed"
    pairs = {
        (name.decode(), value.decode("utf-8", "replace"))
        for name, value in set(zip(parts[1::3], parts[2::3], strict=True))
    }
    return why_not_plain_attributes(pairs)


def _write(git: Git, source: _Source, paths: Sequence[Path]) -> list[memoryview]:
    """Write every entry into every worktree; return each worktree's stat data, in the order of ``paths``."""
    index, folder = source.index, source.folder
    _make_folders(index.entries, paths)
    count = min(os.cpu_count() or 1, _AT_ONCE)
    total = len(index.entries)
    shares = [index.entries[total * n // count : total * (n + 1) // count] for n in range(count)]
    readers: list[Child] = []
    writers: list[Child] = []
    try:
        for number, share in enumerate(shares):
            reader, writer = _start(git, folder, number, share, paths)
            readers.append(reader)
            writers.append(writer)
        for writer in writers:
            _, problem = writer.communicate(timeout=TIMEOUT)
            if writer.returncode != 0:
                raise GitFailedError(("cat-file", "--batch"), writer.returncode, problem.decode("utf-8", "replace"))
    except TimeoutExpired as error:
        raise LokiError("writing the files took too long") from error
    finally:
        for child in (*writers, *readers):
            if child.poll() is None:
                child.kill()
            child.communicate()
    parts = [(folder / f"stats-{number}").read_bytes() for number in range(count)]
    gathered = []
    for position in range(len(paths)):
        whole = bytearray()
        for part, share in zip(parts, shares, strict=True):
            length = STAT_BYTES * len(share)
            whole += part[position * length : (position + 1) * length]
        gathered.append(memoryview(whole))
    return gathered


def _start(
    git: Git, folder: Path, number: int, share: Sequence[IndexEntry], paths: Sequence[Path]
) -> tuple[Child, Child]:
    """Start one reader of blobs and the writer that it feeds."""
    wanted, job = folder / f"blobs-{number}", folder / f"job-{number}"
    wanted.write_text("".join(f"{entry.oid}\n" for entry in share), encoding="ascii")
    job.write_bytes(b"".join(b"%06o %s\0" % (entry.mode, entry.path) for entry in share))
    env = scrubbed(GIT_TERMINAL_PROMPT="0", GIT_OPTIONAL_LOCKS="0", LC_ALL="C.UTF-8", GIT_NO_LAZY_FETCH="1")
    env["GIT_NO_REPLACE_OBJECTS"] = "1"
    env[CEILING] = with_ceiling(env, git.cwd)
    with wanted.open("rb") as ids:
        reader = start_piped(["git", "cat-file", "--batch", "--buffer"], cwd=git.cwd, env=env, stdin=ids)
    assert reader.stdout is not None
    argv = [sys.executable, "-I", "-S", str(_WRITER), str(os.getpid()), str(job), str(folder / f"stats-{number}")]
    with (folder / f"out-{number}").open("wb") as nothing, reader.stdout as blobs:
        writer = start_piped([*argv, *map(str, paths)], cwd=folder, env=env, stdin=blobs, output=nothing)
    reader.stdout = None
    return reader, writer


def _make_folders(entries: Sequence[IndexEntry], paths: Sequence[Path]) -> None:
    """Make every folder anew: what is there already is somebody's, or another name for the same on this file system."""
    folders: set[bytes] = set()
    for entry in entries:
        parent = entry.path.rpartition(b"/")[0]
        while parent and parent not in folders:
            folders.add(parent)
            parent = parent.rpartition(b"/")[0]
    ordered = sorted(folders)
    for path in paths:
        root = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in ordered:
                os.mkdir(name, dir_fd=root)
        finally:
            os.close(root)


def _put(index: Path, data: bytes) -> None:
    """Put the index in place as git does: written as ``index.lock``, then renamed."""
    lock = index.with_name("index.lock")
    handle = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        lock.replace(index)
    except BaseException:
        lock.unlink(missing_ok=True)
        raise
