"""The git program, as small verbs. Answers are read as porcelain, ``-z`` and exit codes, never as prose.

Every call names its folder, the root of a worktree or a git dir, and git never goes up from there. It runs without what
git exports into hooks, never asks on a terminal, and, unless it is told otherwise, runs no hook at all: a framework's
hook would stash the user's edits. What git is told there is what is there: no file system monitor, no untracked cache,
no graft and no replacement is believed.
"""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loki_hooks.errors import GitFailedError, LokiError, RefusedError
from loki_hooks.system.git_folder import CEILING, astray, is_bare_place, with_ceiling
from loki_hooks.system.processes.ancestry import WORK_MARK
from loki_hooks.system.processes.run import Completed, run, scrubbed

NULL_OID = "0" * 40
DEFAULT_TIMEOUT = 120.0


def is_null(oid: str) -> bool:
    """Return whether ``oid`` is the null id, in sha1 or sha256 length."""
    return not oid.strip("0")


@functools.cache
def git_version() -> tuple[int, ...]:
    """Return the version of the git on PATH, e.g. ``(2, 39, 5)``."""
    done = run(["git", "version"], cwd="/")
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", done.text)
    return tuple(int(part or 0) for part in found.groups()) if found else (0, 0, 0)


def has_config_hooks() -> bool:
    """Return whether git reads hooks from its configuration (``hook.<name>.command``, since 2.54)."""
    return git_version() >= (2, 54)


_NO_MONITOR = ("-c", "core.fsmonitor=false")
"""A monitor says which files changed, and git believes it: the program may be anything, and may be wrong."""
_NO_CACHE = ("-c", "core.untrackedCache=false")
"""Only for `git status`: a command that writes the index would take the user's cache out of it."""
_NAMED_BARE = ("-c", "safe.bareRepository=all")
"""The user may allow git no bare repository that it only comes across: ours was named."""
_PLAIN = (
    *("-c", "log.showSignature=false", "-c", "merge.verifySignatures=false"),
    *("-c", "merge.renames=true", "-c", "merge.directoryRenames=conflict", "-c", "merge.ff=true"),
)
"""What a user has set for how logs look and what merges do would get into what we read, and into what lands."""
_NEVER_FROM_OUTSIDE = ("GIT_EXTERNAL_DIFF", "GIT_DIFF_OPTS", "GIT_ATTR_SOURCE", "GIT_NAMESPACE", "GIT_DEFAULT_HASH")
_NO_GRAFTS = "/dev/null/none"
"""A file that cannot be there. (For /dev/null itself git prints that grafts are deprecated.)"""


@functools.cache
def _silence(cwd: Path) -> tuple[str, ...]:
    """Return the options that keep git from running any hook in ``cwd``'s repository."""
    options = ["-c", "core.hooksPath=/dev/null", *_NO_MONITOR]
    if has_config_hooks():
        named = _NAMED_BARE if is_bare_place(cwd) else ()
        words = ["git", *named, "config", "--name-only", "-z", "--get-regexp", r"^hook\..*\.command$"]
        env = scrubbed()
        listed = run(words, cwd=cwd, env=env | {CEILING: with_ceiling(env, cwd)})
        for key in filter(None, listed.text.split("\0")):
            options += ["-c", f"{key.removesuffix('.command')}.enabled=false"]
    return tuple(options)


_READERS = frozenset({"cat-file", "for-each-ref", "log", "merge-base", "rev-list", "rev-parse"})


def _only_reads(args: Sequence[str]) -> bool:
    """Return whether no hook can run in any case: then nothing needs to be asked about hooks (a push waits for that)."""
    refs = [word for word in args[1:] if not word.startswith("-")]
    return args[0] in _READERS or (args[0] == "symbolic-ref" and len(refs) == 1 and args[1] in {"-q", "--quiet"})


_WRITES = frozenset(
    {
        *("add", "am", "checkout", "cherry-pick", "clean", "commit", "merge"),
        *("rebase", "reset", "restore", "revert", "rm", "submodule", "switch"),
    }
)
"""What changes a worktree's files, its index or where its HEAD is."""
_WRITES_THE_INDEX = frozenset({"read-tree", "update-index"})
"""The same, unless the index is another one, by ``GIT_INDEX_FILE``."""
_HALF_MADE = re.compile(rb"failed to read [^\n]*commondir")
"""What git dies of, whatever it was asked, when it looks at the registration of a worktree that another git just makes."""
_PATIENCE = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Seconds between the tries then. A registration that stays so is damage, and `doctor` names it."""


_WAITS_FOR_OTHERS = frozenset({"clone", "fetch", "submodule"})
"""What may wait for a server for long, and leaves nothing half done when it is ended."""


def _verb(args: Sequence[str]) -> str:
    """Return git's subcommand: what follows its own options."""
    words = iter(args)
    for word in words:
        if word in {"-c", "-C"}:
            next(words, None)
        elif not word.startswith("-"):
            return word
    return ""


@dataclass(frozen=True)
class Git:
    """git in one folder. ``hooks`` runs the user's hooks with ours off; by default none runs.

    ``of``: the common git dir of which ``cwd`` is to be a worktree; every call then proves that first. Without it only
    what writes proves that it stays in its own worktree.
    """

    cwd: Path
    hooks: bool = False
    of: Path | None = None

    def run(
        self,
        *args: str,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Completed:
        """Run git to its end and return how it ended, whatever the exit status.

        Raises ``RefusedError`` where git would work on another worktree than the one in ``cwd``.
        """
        verb = _verb(args)
        writes = verb in _WRITES or (verb in _WRITES_THE_INDEX and "GIT_INDEX_FILE" not in (env or {}))
        # Where the way here has a colon in it, no ceiling can be named (git(1)): then every call proves it.
        unbound = os.pathsep in os.path.realpath(self.cwd) and not any(a.startswith("--git-dir=") for a in args)
        if (writes or unbound or self.of is not None) and (why := astray(self.cwd, self.of)):
            raise RefusedError(f"git would not work in the worktree {self.cwd}: {why}", "nothing was done there")
        reads, options = _only_reads(args), dict[str, str]()
        silence = () if self.hooks or reads else _silence(self.cwd)
        if reads or not self.hooks:  # a user's hook would see them
            silence = (*_PLAIN, *silence)
        if is_bare_place(self.cwd):
            silence = (*silence, *_NAMED_BARE)
        if verb == "merge":
            options = self._without_merge_options()
        if verb == "status":
            silence = (*silence, *_NO_CACHE)
        # Ours are off by a variable in any case: `install` may have configured them after `_silence` was asked.
        full = scrubbed(GIT_TERMINAL_PROMPT="0", GIT_OPTIONAL_LOCKS="0", LC_ALL="C.UTF-8", LOKI_HOOKS_DISABLE="1")
        for name in [n for n in full if n in _NEVER_FROM_OUTSIDE or n.startswith("GIT_TRACE")]:
            del full[name]
        full[CEILING] = with_ceiling(full, self.cwd)
        if not self.hooks:  # what is tested, landed and compared is what the objects are, not what refs/replace says
            full |= {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_GRAFT_FILE": _NO_GRAFTS}
        else:  # a hook is not of our own doing, and an agent may have written it (`asker`)
            full.pop(WORK_MARK, None)
        full |= options | dict(env or {})
        words = ["git", *silence, *args]
        waits = verb in _WAITS_FOR_OTHERS
        for patience in (*_PATIENCE, None):
            done = run(words, cwd=self.cwd, env=full, stdin=stdin, timeout=timeout, stoppable=waits)
            if patience is None or done.returncode == 0 or not _HALF_MADE.search(done.stderr):
                break
            if args[:2] == ("worktree", "add"):  # who adds takes back first what the failed one left
                break
            time.sleep(patience)
        return done

    def _without_merge_options(self) -> dict[str, str]:
        """Return what takes away `branch.<name>.mergeOptions`: a `--squash` or `-s ours` there would change what lands.

        (An option on the command line cannot name every branch: one may have a ``=`` in its name.)
        """
        branch = self.maybe("symbolic-ref", "--quiet", "--short", "HEAD")
        if branch is None:
            return {}
        key = f"branch.{branch}.mergeOptions"
        return {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": key, "GIT_CONFIG_VALUE_0": ""}

    def out(
        self,
        *args: str,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> str:
        """Return git's stdout without the last newline. Raises ``GitFailedError`` unless git exits 0."""
        done = self.run(*args, stdin=stdin, env=env, timeout=timeout)
        if done.returncode != 0:
            from loki_hooks.domain.secrets import without_credentials

            words = tuple(map(without_credentials, args))
            raise GitFailedError(words, done.returncode, "it took too long" if done.timed_out else done.error_text)
        return done.text.removesuffix("\n")

    def ok(self, *args: str) -> bool:
        """Return whether git exits 0."""
        return self.run(*args).returncode == 0

    def maybe(self, *args: str) -> str | None:
        """Return git's stdout without the last newline, or None unless git exits 0."""
        done = self.run(*args)
        return done.text.removesuffix("\n") if done.returncode == 0 else None

    # What git knows -------------------------------------------------------------------------------------

    def commit_id(self, revision: str) -> str | None:
        """Return the full id of the commit that ``revision`` names, or None."""
        return self.maybe("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")

    def tree_id(self, revision: str) -> str:
        """Return the id of the tree of ``revision``. Raises ``GitFailedError`` when there is none."""
        return self.out("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{tree}}")

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Return whether ``older`` is ``newer`` or one of its ancestors."""
        return self.ok("merge-base", "--is-ancestor", older, newer)

    def refs(self, *prefixes: str) -> dict[str, str]:
        """Return every ref below the prefixes: full name → object id."""
        listed = self.out("for-each-ref", "--format=%(refname)%00%(objectname)", *prefixes)
        pairs = (line.split("\0") for line in listed.splitlines())
        return {name: oid for name, oid in pairs}  # noqa: C416  two parts a line, to mypy too

    def config(self, key: str) -> str | None:
        """Return one value of git's configuration, or None when it is not set."""
        return self.maybe("config", "--get", key)

    def changed_paths(self, old: str, new: str) -> tuple[str, ...]:
        """Return the paths that differ between two commits or trees (a rename is both its paths)."""
        listed = self.out("diff-tree", "-r", "-z", "--name-only", "--no-renames", old, new)
        return tuple(filter(None, listed.split("\0")))

    def show_file(self, revision: str, path: str) -> bytes | None:
        """Return the content of ``path`` at ``revision``, or None when it is not a file there."""
        done = self.run("cat-file", "blob", f"{revision}:{path}")
        return done.stdout if done.returncode == 0 else None

    # What git is told -----------------------------------------------------------------------------------

    def update_ref(self, ref: str, new: str, old: str | None, why: str) -> bool:
        """Move ``ref`` from ``old`` ('': must not exist, None: whatever it is) to ``new``; return whether it moved."""
        args = ["update-ref", "--create-reflog", "-m", why, ref, new]
        return self.ok(*args, *([] if old is None else [old or "0" * len(new)]))

    def delete_ref(self, ref: str, old: str) -> bool:
        """Delete ``ref`` if it is still ``old``; return whether it was deleted."""
        return self.ok("update-ref", "-d", ref, old)

    def write_blob(self, data: bytes) -> str:
        """Store ``data`` in the object database and return its id."""
        return self.out("hash-object", "-w", "--stdin", stdin=data)


@dataclass(frozen=True)
class WorktreeEntry:
    """One entry of `git worktree list`. ``branch`` is short ('': detached), ``locked`` the reason (None: is not)."""

    path: Path
    head: str
    branch: str
    bare: bool = False
    locked: str | None = None
    prunable: bool = False


def list_worktrees(git: Git) -> tuple[WorktreeEntry, ...]:
    """Return all worktrees, the main one first, as git lists them; the main one is where the site says."""
    # -z is git ≥ 2.36; before, a path with a newline in it cannot be told apart, and nothing else differs.
    listed = git.run("worktree", "list", "--porcelain", "-z")
    records = listed.text.split("\0\0") if listed.returncode == 0 else None
    if records is None:
        records = [r.replace("\n", "\0") for r in git.out("worktree", "list", "--porcelain").split("\n\n")]
    found = []
    for record in records:
        fields = dict(_field(line) for line in record.split("\0") if line)
        if "worktree" not in fields:
            continue
        found.append(
            WorktreeEntry(
                path=Path(fields["worktree"]),
                head=fields.get("HEAD", ""),
                branch=fields.get("branch", "").removeprefix("refs/heads/"),
                bare="bare" in fields,
                locked=fields.get("locked"),
                prunable="prunable" in fields,
            )
        )
    return (*(_main_entry(git, entry) for entry in found[:1]), *found[1:])


def _main_entry(git: Git, entry: WorktreeEntry) -> WorktreeEntry:
    """Return the main worktree's entry as it is.

    git takes it for the folder around the git dir, which it is not with `--separate-git-dir` or a link; and where
    ``core.bare`` was set by mistake it says nothing of what is checked out there.
    """
    from loki_hooks.system.site import discover

    site = discover(git.cwd)
    if site.main is None:
        return entry
    if not entry.bare:
        return replace(entry, path=site.main)
    head = Git(site.common).maybe("symbolic-ref", "-q", "HEAD") or ""
    at = Git(site.common).commit_id("HEAD") or ""
    return replace(entry, path=site.main, head=at, branch=head.removeprefix("refs/heads/"), bare=False)


def _field(line: str) -> tuple[str, str]:
    key, _, value = line.partition(" ")
    return key, value


def require_branch_name(git: Git, branch: str) -> str:
    """Return ``branch`` if git accepts it as a branch name, else raise ``LokiError``."""
    if branch.startswith("-") or not git.ok("check-ref-format", f"refs/heads/{branch}"):
        raise LokiError(f"git does not accept {branch!r} as a branch name", "change the template in [branches]")
    return branch


def split_z(text: str) -> Iterable[str]:
    return filter(None, text.split("\0"))
